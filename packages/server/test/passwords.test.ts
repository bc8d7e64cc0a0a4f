import { createClient } from "@connectrpc/connect";
import { systemRandom } from "@gatehouse/core";
import { ScriptedBrowser, type VisitOptions } from "@gatehouse/testbed";
import { OrgAdminService, Role } from "@gatehouse/wire";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createOwnerLink, createSetupCode } from "../src/index.ts";
import { DATABASES, type TestDatabase } from "./databases.ts";
import { FleetUnderTest, type OrgUnderTest, refused } from "./fleet-under-test.ts";
import { auditEntries, storedRows } from "./stored-rows.ts";

const SESSION = "__Host-gatehouse-session";
const KNOWN = "__Host-gatehouse-known";
const PASSWORD = "correct horse battery staple";
const OTHER = "wrong donkey charger clip";
const WAIT_MS = 30_000;
/** Of failures, before an address must wait. */
const BURST = 20;

describe.each(DATABASES)("on $name", ({ open }) => {
  let database: TestDatabase;
  let fleet: FleetUnderTest;
  let org: OrgUnderTest;

  beforeAll(async () => {
    database = await open();
    fleet = await FleetUnderTest.open(database.location, { hasPasswords: true });
    org = await fleet.createOrg("acme");
  });

  afterAll(async () => {
    await fleet[Symbol.asyncDispose]();
    await database[Symbol.asyncDispose]();
  });

  const at = (path: string) => `${fleet.server.url}${path}`;
  const rows = (table: "passwords" | "invitations") => storedRows(database.location, org.orgId, table);
  /** Those whose time is up are swept away at any moment. */
  const sessions = async () =>
    (await storedRows(database.location, org.orgId, "member_sessions")).filter(
      (row) => Number((row as unknown as { expires_at: number }).expires_at) > fleet.clock.now(),
    );
  const lastAudit = async () => (await auditEntries(database.location, org.orgId)).at(-1);
  const invite = async (name: string, reset = false) => (await org.org.inviteMember({ name, reset }, org.headers)).code;
  const choose = (browser: ScriptedBrowser, code: string, next = PASSWORD, again = next) =>
    browser.visit(at("/join"), { form: { code, next, again } });
  const signIn = (
    browser: ScriptedBrowser,
    form: { name: string; password?: string; org?: string; to?: string },
    more: VisitOptions = {},
  ) => browser.visit(at("/sign-in"), { form: { org: "acme", password: PASSWORD, ...form }, ...more });
  const status = async (browser: ScriptedBrowser) => (await browser.visit(at("/account"))).url;
  const isIn = async (browser: ScriptedBrowser) => (await status(browser)) === at("/account");
  /** A member with the password, and the browser in which they chose it. */
  const addMember = async (name: string, role = Role.VIEWER) => {
    await org.org.addMember({ name, role }, org.headers);
    const browser = new ScriptedBrowser();
    await choose(browser, await invite(name));
    return browser;
  };

  test("an invited member chooses a password by a link, and signs in with it", async () => {
    const code = await invite("ada");
    const first = new ScriptedBrowser();
    const link = await first.visit(at(`/join?code=${code}`));
    expect(link).toMatchObject({ status: 200 });
    expect(link.text).toContain("<strong>ada</strong> of <strong>acme</strong>");
    expect(link.headers["referrer-policy"]).toBe("same-origin");
    const chosen = await choose(first, code);
    expect(chosen).toMatchObject({ status: 200, url: at("/account") });
    expect(chosen.text).toContain("<strong>ada</strong>, with the role <strong>owner</strong>");
    const second = new ScriptedBrowser();
    expect((await second.visit(at("/sign-in"))).text).toContain('type="password"');
    expect(await signIn(second, { name: "ada" })).toMatchObject({ status: 200, url: at("/account") });
    expect(await lastAudit()).toMatchObject({
      kind: "sign_in.succeeded",
      actor: "operator:ada",
      data: { by: "password", role: "owner" },
    });
    const [row] = await rows("passwords");
    expect(row).toMatchObject({
      hash: expect.stringMatching(/^\$argon2id\$v=19\$m=65536,t=3,p=4\$[^$]{22}\$[^$]{43}$/),
    });
    const token = second.cookies(fleet.server.url).get(SESSION) ?? "";
    expect(JSON.stringify([await sessions(), await rows("invitations"), row])).not.toContain(token);
    const headers = { Cookie: `${SESSION}=${token}`, Origin: fleet.server.url };
    expect(await org.org.getOrg({}, { headers })).toMatchObject({ member: "ada", role: Role.OWNER });
  });

  test("a link serves once, within its time, until another one is made; whatever is wrong is answered alike", async () => {
    await org.org.addMember({ name: "bob", role: Role.VIEWER }, org.headers);
    const replaced = await invite("bob");
    const late = await invite("bob");
    fleet.clock.advance(86_400_000);
    const fresh = await invite("bob");
    const [mine, theirs] = await Promise.all([
      choose(new ScriptedBrowser(), fresh),
      choose(new ScriptedBrowser(), fresh, OTHER),
    ]);
    expect(new Set([mine.status, theirs.status])).toEqual(new Set([200, 401]));
    const before = await rows("passwords");
    const answers = new Set<string>();
    for (const code of [replaced, late, fresh, "A".repeat(43), "", "../../etc"]) {
      const shown = await new ScriptedBrowser().visit(at(`/join?code=${encodeURIComponent(code)}`));
      const posted = await choose(new ScriptedBrowser(), code);
      for (const { status, text } of [shown, posted]) answers.add(`${status} ${text}`);
    }
    expect([...answers]).toHaveLength(1);
    expect([...answers][0]).toContain("401 ");
    expect(await rows("passwords")).toEqual(before);
    await expect(org.org.inviteMember({ name: "bob" }, org.headers)).rejects.toEqual(refused("members.has_password"));
    await expect(org.org.inviteMember({ name: "nobody" }, org.headers)).rejects.toEqual(refused("members.not_found"));
  });

  test("a password that is soon guessed is refused with the reason, and the link goes on serving", async () => {
    await org.org.addMember({ name: "carla", role: Role.VIEWER }, org.headers);
    const code = await invite("carla");
    const before = await rows("passwords");
    for (const [next, says] of [
      ["too short", "15 characters"],
      ["aaaaaaaaaaaaaaaaaaaaaaaa", "again and again"],
      ["carlacarlacarlacarla", "again and again"],
      ["acme-carla-gatehouse", "again and again"],
      ["x".repeat(129), "more than 128"],
    ] as const) {
      const answer = await choose(new ScriptedBrowser(), code, next);
      expect(answer.status, next).toBe(400);
      expect(answer.text).toContain(says);
      expect(answer.text).not.toContain(next);
    }
    expect((await choose(new ScriptedBrowser(), code, PASSWORD, OTHER)).text).toContain("The two fields differ.");
    expect(await rows("passwords")).toEqual(before);
    // The same letters, composed in another way.
    expect((await choose(new ScriptedBrowser(), code, "Fünf große Bäume im Wald")).status).toBe(200);
    const decomposed = "Fünf große Bäume im Wald".normalize("NFD");
    expect((await signIn(new ScriptedBrowser(), { name: "carla", password: decomposed })).status).toBe(200);
  });

  test(
    "an unknown organisation, an unknown name, somebody without a password and a wrong one are one answer, in one time",
    async () => {
      await org.org.addMember({ name: "dora", role: Role.OWNER }, org.headers);
      const before = await sessions();
      const answers: string[] = [];
      const times: number[] = [];
      for (const form of [
        { name: "ada", password: OTHER },
        { name: "ada", password: "" },
        { name: "dora" },
        { name: "nobody" },
        { name: "ada", org: "elsewhere" },
        { name: "ADA" },
        { name: "__proto__", org: "__proto__" },
      ]) {
        const began = performance.now();
        const { status, text, headers } = await signIn(new ScriptedBrowser(), form);
        times.push(performance.now() - began);
        const typed = [form.name, form.org ?? "acme"].reduce(
          (rest, one) => rest.replaceAll(`value="${one}"`, ""),
          text,
        );
        answers.push(JSON.stringify([status, typed, Object.keys(headers).sort()]));
        expect(headers["set-cookie"]).toBeUndefined();
      }
      expect(new Set(answers).size, answers.join("\n")).toBe(1);
      expect(answers[0]).toContain("do not fit together");
      for (const ms of times) expect(ms).toBeGreaterThanOrEqual(490);
      expect(await sessions()).toEqual(before);
      const refusals = (await auditEntries(database.location, org.orgId)).filter(
        ({ kind }) => kind === "sign_in.refused",
      );
      expect(refusals.map(({ data }) => (data as { member: string | null }).member)).toEqual([
        "ada",
        "ada",
        "dora",
        null,
        null,
      ]);
    },
    WAIT_MS,
  );

  test(
    "who guesses must wait, and keeps nobody else out: not from elsewhere, not in a browser where they were before",
    async () => {
      const own = await addMember("emil");
      await own.visit(at("/sign-out"), { form: {} });
      const attacker = { from: "127.0.0.66" };
      const guess = () => signIn(new ScriptedBrowser(), { name: "emil", password: OTHER }, attacker);
      const answers = await Promise.all(Array.from({ length: 3 * BURST }, guess));
      const count = (wanted: number) => answers.filter(({ status }) => status === wanted).length;
      expect({ wrong: count(401), waiting: count(429) }).toEqual({ wrong: BURST, waiting: 2 * BURST });
      // Also with the right password now.
      expect((await signIn(new ScriptedBrowser(), { name: "emil" }, attacker)).status).toBe(429);
      expect((await signIn(new ScriptedBrowser(), { name: "emil" }, { from: "127.0.0.67" })).url).toBe(at("/account"));
      expect((await signIn(own, { name: "emil" }, attacker)).headers.location).toBeUndefined();
      expect(await isIn(own)).toBe(true);
      // The cookie of one member is none for another, and one that was made up is none.
      const stolen = own.cookies(fleet.server.url).get(KNOWN) ?? "";
      for (const [name, cookie] of [
        ["ada", stolen],
        ["emil", `${stolen.slice(0, -1)}${stolen.endsWith("A") ? "B" : "A"}`],
      ] as const) {
        const browser = new ScriptedBrowser();
        browser.setCookie(fleet.server.url, KNOWN, cookie);
        expect((await signIn(browser, { name }, attacker)).status).toBe(429);
      }
      fleet.clock.advance(60_000);
      expect((await signIn(new ScriptedBrowser(), { name: "emil" }, attacker)).url).toBe(at("/account"));
    },
    WAIT_MS,
  );

  test(
    "what succeeds costs nothing",
    async () => {
      const from = { from: "127.0.0.68" };
      for (let turn = 0; turn <= BURST; turn += 1) {
        expect((await signIn(new ScriptedBrowser(), { name: "ada" }, from)).url).toBe(at("/account"));
      }
    },
    WAIT_MS,
  );

  test("a reset by an owner ends password and sessions at once, and makes a link to choose another", async () => {
    const browser = await addMember("fred");
    expect(await isIn(browser)).toBe(true);
    const code = await invite("fred", true);
    expect(await isIn(browser)).toBe(false);
    expect((await signIn(new ScriptedBrowser(), { name: "fred" })).status).toBe(401);
    expect(await lastAudit()).toMatchObject({ kind: "sign_in.refused", data: { member: "fred" } });
    expect((await choose(browser, code, OTHER)).status).toBe(200);
    expect((await signIn(new ScriptedBrowser(), { name: "fred", password: OTHER })).url).toBe(at("/account"));
  });

  test("whoever runs the server lets an owner choose again, and nobody else; the server hears of it", async () => {
    const own = new ScriptedBrowser();
    await signIn(own, { name: "ada" });
    await org.org.addMember({ name: "paul", role: Role.ADMIN }, org.headers);
    const config = { directory: fleet.directory, store: database.location };
    const deps = { clock: fleet.clock, random: systemRandom };
    const before = await rows("invitations");
    for (const [owner, code] of [
      [{ org: "acme", name: "paul" }, "members.not_found"],
      [{ org: "acme", name: "nobody" }, "members.not_found"],
      [{ org: "elsewhere", name: "ada" }, "org.not_found"],
    ] as const) {
      await expect(createOwnerLink(config, owner, deps)).rejects.toMatchObject({ code });
    }
    expect(await rows("invitations")).toEqual(before);
    expect(await isIn(own)).toBe(true);
    const { code } = await createOwnerLink(config, { org: "acme", name: "ada" }, deps);
    expect(await lastAudit()).toMatchObject({ kind: "password.reset", actor: "server", data: { member: "ada" } });
    expect(await isIn(own)).toBe(false);
    expect((await choose(own, code)).text).toContain("<strong>owner</strong>");
  });

  test("a password is changed by who knows it, and every other browser is signed out", async () => {
    const own = await addMember("gina");
    const other = new ScriptedBrowser();
    await signIn(other, { name: "gina" });
    const change = (current: string, next: string, again = next) =>
      own.visit(at("/account/password"), { form: { current, next, again } });
    expect((await change(OTHER, "another four words here")).text).toContain("not your current password");
    expect(await lastAudit()).toMatchObject({ kind: "password.refused", actor: "operator:gina" });
    expect((await change(PASSWORD, "short")).text).toContain("15 characters");
    expect((await change(PASSWORD, "another four words here", "different")).text).toContain("The two fields differ.");
    expect(await isIn(other)).toBe(true);
    expect((await change(PASSWORD, "another four words here")).text).toContain("Your password is changed.");
    expect([await isIn(own), await isIn(other)]).toEqual([true, false]);
    expect((await signIn(new ScriptedBrowser(), { name: "gina" })).status).toBe(401);
    const late = await signIn(new ScriptedBrowser(), { name: "gina", password: "another four words here" });
    expect(late.url).toBe(at("/account"));
  });

  test("no other site signs anybody in, spends a link or changes a password", async () => {
    const browser = await addMember("hugo");
    await org.org.addMember({ name: "ines", role: Role.VIEWER }, org.headers);
    const code = await invite("ines");
    const before = [await rows("passwords"), await sessions()];
    const next = "another four words here";
    for (const headers of [
      { origin: "https://evil.example" },
      { origin: "null" },
      { "sec-fetch-site": "cross-site" },
    ]) {
      const form = { org: "acme", name: "hugo", password: PASSWORD };
      expect((await new ScriptedBrowser().visit(at("/sign-in"), { form, headers })).status).toBe(401);
      const join = { code, next, again: next };
      expect((await new ScriptedBrowser().visit(at("/join"), { form: join, headers })).status).toBe(401);
      const change = { current: PASSWORD, next, again: next };
      expect((await browser.visit(at("/account/password"), { form: change, headers })).status).toBe(401);
      expect((await browser.visit(at("/account/sessions/end"), { form: { session: "others" }, headers })).status).toBe(
        401,
      );
    }
    expect([await rows("passwords"), await sessions()]).toEqual(before);
    expect((await choose(new ScriptedBrowser(), code)).status).toBe(200);
  });

  test("who has the same name in another organisation has another password", async () => {
    const config = { directory: fleet.directory, store: database.location };
    const setup = await createSetupCode(config, { clock: fleet.clock, random: systemRandom });
    const other = await fleet.createOrg("other", setup);
    const { code } = await other.org.inviteMember({ name: "ada" }, other.headers);
    await choose(new ScriptedBrowser(), code, OTHER);
    expect((await signIn(new ScriptedBrowser(), { name: "ada", password: OTHER })).status).toBe(401);
    expect((await signIn(new ScriptedBrowser(), { name: "ada", org: "other", password: OTHER })).url).toBe(
      at("/account"),
    );
  });

  test("only an owner makes links, and no key makes one that reaches further than itself", async () => {
    await addMember("jan", Role.ADMIN);
    const key = { label: "k", role: Role.ADMIN, ttlMs: 0n, member: "" };
    const { apiKey } = await org.org.createApiKey(key, org.headers);
    const client = createClient(OrgAdminService, fleet.transport);
    const before = await rows("invitations");
    for (const name of ["ada", "jan"]) {
      const call = client.inviteMember({ name, reset: true }, { headers: { Authorization: `Bearer ${apiKey}` } });
      await expect(call).rejects.toEqual(refused("auth.forbidden"));
    }
    expect(await rows("invitations")).toEqual(before);
    expect((await signIn(new ScriptedBrowser(), { name: "jan" })).url).toBe(at("/account"));
  });

  test("no line of the log holds a password, a link's code, a session or what a known browser is known by", async () => {
    await org.org.addMember({ name: "kim", role: Role.VIEWER }, org.headers);
    const code = await invite("kim");
    const browser = new ScriptedBrowser();
    await browser.visit(at(`/join?code=${code}`));
    await choose(browser, code, "short-secret");
    await choose(browser, code);
    await choose(browser, code);
    await signIn(browser, { name: "kim", password: "a guess that is wrong" });
    await signIn(browser, { name: PASSWORD, password: PASSWORD });
    const cookies = browser.cookies(fleet.server.url);
    const lines = fleet.lines.join("\n");
    const audited = JSON.stringify(await auditEntries(database.location, org.orgId));
    const secrets = [code, "short-secret", PASSWORD, "a guess that is wrong", cookies.get(SESSION), cookies.get(KNOWN)];
    for (const secret of secrets) {
      expect(secret?.length).toBeGreaterThan(10);
      expect(lines).not.toContain(secret);
      expect(audited).not.toContain(secret);
    }
  });
});

test("where people have no passwords nothing of them is there, and nobody is invited", async () => {
  await using database = await DATABASES[0].open();
  await using fleet = await FleetUnderTest.open(database.location);
  const org = await fleet.createOrg("acme");
  await expect(org.org.inviteMember({ name: "ada" }, org.headers)).rejects.toEqual(refused("signin.no_passwords"));
  const browser = new ScriptedBrowser();
  for (const path of ["/sign-in", "/sign-in/provider", "/join", "/account"]) {
    expect((await browser.visitOnce(`${fleet.server.url}${path}`)).status).toBe(404);
  }
  for (const path of ["/sign-in", "/join", "/account/password", "/account/sessions/end", "/account/link"]) {
    expect((await browser.visitOnce(`${fleet.server.url}${path}`, { form: {} })).status).toBe(404);
  }
  expect(await storedRows(database.location, org.orgId, "invitations")).toEqual([]);
});
