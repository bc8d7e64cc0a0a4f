import { type FakeIdentityProvider, openFakeIdentityProvider, ScriptedBrowser } from "@gatehouse/testbed";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { MAX_SESSIONS } from "../src/people/open-session.ts";
import { DATABASES, type TestDatabase } from "./databases.ts";
import { FleetUnderTest, type OrgUnderTest, refused } from "./fleet-under-test.ts";
import { oidcOf } from "./oidc-under-test.ts";
import { auditEntries, storedRows } from "./stored-rows.ts";

const SESSION = "__Host-gatehouse-session";
const SIGN_IN = "__Host-gatehouse-sign-in";
const HOUR_MS = 3_600_000;

describe.each(DATABASES)("on $name", ({ open }) => {
  let database: TestDatabase;
  let provider: FakeIdentityProvider;
  let fleet: FleetUnderTest;
  let org: OrgUnderTest;

  beforeAll(async () => {
    database = await open();
    provider = await openFakeIdentityProvider();
    fleet = await FleetUnderTest.open(database.location, { oidc: oidcOf(provider) });
    provider.admit(`${fleet.server.url}/sign-in/callback`);
    org = await fleet.createOrg("acme");
  });

  afterAll(async () => {
    await fleet[Symbol.asyncDispose]();
    await provider[Symbol.asyncDispose]();
    await database[Symbol.asyncDispose]();
  });

  const sessions = () => storedRows(database.location, org.orgId, "member_sessions");
  const members = async () => (await org.org.listMembers({}, org.headers)).members.map(({ name }) => name);
  const signIn = (browser: ScriptedBrowser) => browser.visit(`${fleet.server.url}/sign-in`);
  const lastAudit = async () => (await auditEntries(database.location, org.orgId)).at(-1);

  test("a person whom a rule names signs in, as a member with the role of the rule", async () => {
    provider.person = { sub: "u1", groups: ["other", "admins"], email: "Bea@acme.example", email_verified: true };
    const browser = new ScriptedBrowser();
    const page = await signIn(browser);
    expect(page).toMatchObject({ status: 200, url: `${fleet.server.url}/account` });
    expect(page.text).toContain("<strong>bea</strong>, with the role <strong>admin</strong>");
    expect(page.headers["content-security-policy"]).toContain("default-src 'none'");
    expect([...browser.cookies(fleet.server.url).keys()]).toEqual([SESSION]);
    const token = browser.cookies(fleet.server.url).get(SESSION) ?? "";
    expect(JSON.stringify(await sessions())).not.toContain(token);
    expect(await lastAudit()).toMatchObject({ kind: "sign_in.succeeded", actor: "operator:bea" });
    expect((await signIn(new ScriptedBrowser())).status).toBe(200);
    expect((await members()).filter((name) => name.startsWith("bea"))).toEqual(["bea"]);
  });

  test("the cookie is for this host, for TLS and for no script, and is not sent along from elsewhere", async () => {
    provider.person = { sub: "u1", groups: ["admins"] };
    const browser = new ScriptedBrowser();
    const stopAt = (url: URL) => url.pathname === "/sign-in/callback";
    const { url } = await browser.visit(`${fleet.server.url}/sign-in`, { stopAt });
    const [line = ""] = (await browser.visitOnce(url)).headers["set-cookie"] ?? [];
    expect(line).toMatch(
      /^__Host-gatehouse-session=[A-Za-z0-9_-]{43}; Path=\/; Max-Age=43200; Secure; HttpOnly; SameSite=Lax$/,
    );
  });

  test("a person whom no rule names gets no member and no session, and the refusal is on record", async () => {
    const before = { sessions: (await sessions()).length, members: await members() };
    for (const person of [
      { sub: "eve" },
      { sub: "eve", groups: ["toString"] },
      { sub: "eve", email: "eve@acme.example" },
      { sub: "eve", email: "eve@acme.example", email_verified: false },
      { sub: "eve", email: "eve@acme.example@evil.example", email_verified: true },
      { sub: "eve", email: "eve@sub.acme.example", email_verified: true },
    ]) {
      provider.person = person;
      const browser = new ScriptedBrowser();
      expect((await signIn(browser)).status).toBe(403);
      expect([...browser.cookies(fleet.server.url).keys()]).not.toContain(SESSION);
      const entry = await lastAudit();
      expect(entry).toMatchObject({ kind: "sign_in.refused", data: { reason: "no_rule", subject: "eve" } });
    }
    expect({ sessions: (await sessions()).length, members: await members() }).toEqual(before);
  });

  test("a name that a member has is not taken over, whatever the provider says", async () => {
    provider.person = { sub: "not-ada", email: "ada@acme.example", email_verified: true };
    const page = await signIn(new ScriptedBrowser());
    expect(page.text).toMatch(/<strong>ada-[0-9a-f]{12}<\/strong>, with the role <strong>operator<\/strong>/);
  });

  test("a callback counts once, in the browser that began, within its time", async () => {
    provider.person = { sub: "u1", groups: ["admins"] };
    const stopAt = (url: URL) => url.pathname === "/sign-in/callback";
    const [mine, theirs] = [new ScriptedBrowser(), new ScriptedBrowser()];
    const begun = await mine.visit(`${fleet.server.url}/sign-in`, { stopAt });
    const other = await theirs.visit(`${fleet.server.url}/sign-in`, { stopAt });
    const before = (await sessions()).length;
    expect((await new ScriptedBrowser().visitOnce(begun.url)).status).toBe(400);
    // Somebody else's code under one's own state: the provider refuses it for want of the verifier.
    const mixed = new URL(begun.url);
    mixed.searchParams.set("code", new URL(other.url).searchParams.get("code") ?? "");
    const cookie = mine.cookies(fleet.server.url).get(SIGN_IN) ?? "";
    expect((await mine.visitOnce(mixed.href)).status).toBe(400);
    mine.setCookie(fleet.server.url, SIGN_IN, cookie);
    expect((await mine.visitOnce(begun.url)).status).toBe(400);
    theirs.setCookie(fleet.server.url, SIGN_IN, `${cookie.slice(0, -1)}A`);
    expect((await theirs.visitOnce(other.url)).status).toBe(400);
    const slow = new ScriptedBrowser();
    const late = await slow.visit(`${fleet.server.url}/sign-in`, { stopAt });
    fleet.clock.advance(600_000);
    expect((await slow.visitOnce(late.url)).status).toBe(400);
    expect((await sessions()).length).toBe(before);
  });

  test("a spent callback opens nothing again", async () => {
    provider.person = { sub: "u1", groups: ["admins"] };
    const browser = new ScriptedBrowser();
    const stopAt = (url: URL) => url.pathname === "/sign-in/callback";
    const begun = await browser.visit(`${fleet.server.url}/sign-in`, { stopAt });
    const cookie = browser.cookies(fleet.server.url).get(SIGN_IN) ?? "";
    expect((await browser.visitOnce(begun.url)).status).toBe(303);
    const before = (await sessions()).length;
    const again = new ScriptedBrowser();
    again.setCookie(fleet.server.url, SIGN_IN, cookie);
    expect((await again.visitOnce(begun.url)).status).toBe(400);
    expect((await sessions()).length).toBe(before);
  });

  test("a session calls as its member from our own pages alone, and never beside a key", async () => {
    provider.person = { sub: "u1", groups: ["admins"] };
    const browser = new ScriptedBrowser();
    await signIn(browser);
    const Cookie = `${SESSION}=${browser.cookies(fleet.server.url).get(SESSION)}`;
    const Origin = fleet.server.url;
    const call = (headers: Record<string, string>) => org.org.getOrg({}, { headers });
    expect(await call({ Cookie, Origin })).toMatchObject({ member: "bea" });
    expect(await call({ Cookie, Origin, "Sec-Fetch-Site": "same-origin" })).toMatchObject({ member: "bea" });
    for (const headers of [
      { Cookie },
      { Cookie, Origin: "https://evil.example" },
      { Cookie, Origin: "null" },
      { Cookie, Origin, "Sec-Fetch-Site": "cross-site" },
      { Cookie, Origin, "Sec-Fetch-Site": "same-site" },
      { Cookie: `${Cookie}; ${Cookie}`, Origin },
      { Cookie, Origin, Authorization: `Bearer ${org.apiKey}` },
      { Cookie: `${SESSION}=${"A".repeat(43)}`, Origin },
    ]) {
      await expect(call(headers), JSON.stringify(Object.keys(headers))).rejects.toThrow("not known here");
    }
  });

  test("a session does no more than the provider's word at sign-in, and no more than its member", async () => {
    provider.person = { sub: "u1", groups: ["staff"] };
    const browser = new ScriptedBrowser();
    expect((await signIn(browser)).text).toContain("<strong>viewer</strong>");
    const headers = {
      Cookie: `${SESSION}=${browser.cookies(fleet.server.url).get(SESSION)}`,
      Origin: fleet.server.url,
    };
    await expect(org.nodes.createEnrollmentCode({ name: "x" }, { headers })).rejects.toThrow("role does not allow");
    expect((await org.nodes.listEnrollmentCodes({}, org.headers)).enrollments).toEqual([]);
  });

  test("signing out, twelve hours and being removed each end a session; a removed person stays out until they are added again, as the same person", async () => {
    provider.person = { sub: "u1", groups: ["admins"] };
    const [first, second, third] = [new ScriptedBrowser(), new ScriptedBrowser(), new ScriptedBrowser()];
    const status = async (browser: ScriptedBrowser) => (await browser.visitOnce(`${fleet.server.url}/account`)).status;
    await signIn(first);
    const kept = first.cookies(fleet.server.url).get(SESSION) ?? "";
    expect(
      (await first.visitOnce(`${fleet.server.url}/sign-out`, { form: {}, headers: { origin: "https://evil.example" } }))
        .status,
    ).toBe(401);
    expect(await status(first)).toBe(200);
    expect((await first.visit(`${fleet.server.url}/sign-out`, { form: {} })).text).toContain("Signed out");
    first.setCookie(fleet.server.url, SESSION, kept);
    expect(await status(first)).toBe(303);
    await signIn(second);
    fleet.clock.advance(12 * HOUR_MS);
    expect(await status(second)).toBe(303);
    await signIn(third);
    await org.org.removeMember({ name: "bea" }, org.headers);
    expect(await status(third)).toBe(303);
    expect((await signIn(new ScriptedBrowser())).status).toBe(403);
    expect(await lastAudit()).toMatchObject({ kind: "sign_in.refused", data: { reason: "removed" } });
    await org.org.addMember({ name: "bea", role: 3 }, org.headers);
    expect((await signIn(new ScriptedBrowser())).status).toBe(403);
    expect(await lastAudit()).toMatchObject({ kind: "sign_in.refused", data: { reason: "removed" } });
    // The name's last member was nobody at the provider, and went later: who is meant is the one before.
    fleet.clock.advance(1);
    await org.org.removeMember({ name: "bea" }, org.headers);
    const stranger = org.org.addMember({ name: "zora", role: 1, samePerson: true }, org.headers);
    await expect(stranger).rejects.toEqual(refused("members.not_found"));
    expect(await members()).not.toContain("zora");
    await org.org.addMember({ name: "bea", role: 1, samePerson: true }, org.headers);
    expect((await auditEntries(database.location, org.orgId)).slice(-2)).toMatchObject([
      { kind: "member.readmitted", data: { member: "bea" } },
      { kind: "identity.linked", data: { member: "bea", subject: "u1" } },
    ]);
    const back = await signIn(new ScriptedBrowser());
    expect(back.text).toContain("<strong>bea</strong>, with the role <strong>viewer</strong>");
  });

  test("a member's sessions are bounded: the oldest gives way", async () => {
    provider.person = { sub: "u1", groups: ["admins"] };
    const browsers = Array.from({ length: MAX_SESSIONS + 1 }, () => new ScriptedBrowser());
    for (const browser of browsers) {
      await signIn(browser);
      fleet.clock.advance(1);
    }
    const { sessions: open } = await org.org.listSessions({ member: "bea" }, org.headers);
    expect(open).toHaveLength(MAX_SESSIONS);
    const statusOf = async (browser: ScriptedBrowser | undefined) =>
      (await browser?.visitOnce(`${fleet.server.url}/account`))?.status;
    expect([await statusOf(browsers[0]), await statusOf(browsers[1]), await statusOf(browsers.at(-1))]).toEqual([
      303, 200, 200,
    ]);
  });

  test("no line of the log holds a token, a code, a cookie or the client secret", async () => {
    provider.person = { sub: "u1", groups: ["admins"] };
    const browser = new ScriptedBrowser();
    const stopAt = (url: URL) => url.pathname === "/sign-in/callback";
    const begun = await browser.visit(`${fleet.server.url}/sign-in`, { stopAt });
    const under = browser.cookies(fleet.server.url).get(SIGN_IN) ?? "";
    await browser.visitOnce(begun.url);
    const { code = "", state = "" } = Object.fromEntries(new URL(begun.url).searchParams);
    const token = browser.cookies(fleet.server.url).get(SESSION) ?? "";
    const lines = fleet.lines.join("\n");
    for (const secret of [code, state, under, token, provider.clientSecret]) {
      expect(secret.length).toBeGreaterThan(20);
      expect(lines).not.toContain(secret);
    }
  });
});

test("a provider at an address that nobody stated is not asked, and signing in says so", async () => {
  await using database = await DATABASES[0].open();
  await using provider = await openFakeIdentityProvider();
  await using fleet = await FleetUnderTest.open(database.location, { oidc: oidcOf(provider, []) });
  provider.admit(`${fleet.server.url}/sign-in/callback`);
  const answer = await new ScriptedBrowser().visit(`${fleet.server.url}/sign-in`);
  expect(answer.status).toBe(502);
  expect(provider.asked).toEqual([]);
});

test("where no provider is configured nothing of signing in is there", async () => {
  await using database = await DATABASES[0].open();
  await using fleet = await FleetUnderTest.open(database.location);
  const browser = new ScriptedBrowser();
  for (const path of ["/sign-in", "/sign-in/callback", "/account", "/device"]) {
    expect((await browser.visitOnce(`${fleet.server.url}${path}`)).status).toBe(404);
  }
  for (const path of ["/device", "/device/decide", "/sign-out", "/oauth/device_authorization", "/oauth/token"]) {
    expect((await browser.visitOnce(`${fleet.server.url}${path}`, { form: {} })).status).toBe(404);
  }
});
