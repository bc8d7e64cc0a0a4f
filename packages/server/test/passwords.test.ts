import { createClient } from "@connectrpc/connect";
import { systemRandom } from "@gatehouse/core";
import { ScriptedBrowser } from "@gatehouse/testbed";
import { OrgAdminService, Role } from "@gatehouse/wire";
import { beforeAll, describe, expect, test } from "vitest";
import { createOwnerLink, createSetupCode } from "../src/index.ts";
import { DATABASES } from "./databases.ts";
import { FleetUnderTest, refused } from "./fleet-under-test.ts";
import { orgOnDatabase } from "./org-on-database.ts";
import { KNOWN_BROWSER, PASSWORD, PeopleUnderTest, SESSION, WRONG_PASSWORD } from "./people-under-test.ts";
import { auditEntries, storedRows } from "./stored-rows.ts";

describe.each(DATABASES)("on $name", ({ open }) => {
  const on = orgOnDatabase(open, { hasPasswords: true });
  let people: PeopleUnderTest;

  beforeAll(async () => {
    people = new PeopleUnderTest(on.fleet, on.org);
  });

  const rows = (table: "passwords" | "invitations") => storedRows(on.database.location, on.org.orgId, table);
  /** Those whose time is up are swept away at any moment. */
  const sessions = async () =>
    (await storedRows(on.database.location, on.org.orgId, "member_sessions")).filter(
      (row) => Number((row as unknown as { expires_at: number }).expires_at) > on.fleet.clock.now(),
    );
  const lastAudit = async () => (await auditEntries(on.database.location, on.org.orgId)).at(-1);

  test("an invited member chooses a password by a link, and signs in with it", async () => {
    const code = await people.invite("ada");
    const first = new ScriptedBrowser();
    const link = await first.visit(people.at(`/join?code=${code}`));
    expect(link).toMatchObject({ status: 200 });
    expect(link.text).toContain("<strong>ada</strong> of <strong>acme</strong>");
    expect(link.headers["referrer-policy"]).toBe("same-origin");
    const chosen = await people.choose(first, code);
    expect(chosen).toMatchObject({ status: 200, url: people.at("/account") });
    expect(chosen.text).toContain("<strong>ada</strong>, with the role <strong>owner</strong>");
    const second = new ScriptedBrowser();
    expect((await second.visit(people.at("/sign-in"))).text).toContain('type="password"');
    expect(await people.signIn(second, { name: "ada" })).toMatchObject({ status: 200, url: people.at("/account") });
    expect(await lastAudit()).toMatchObject({
      kind: "sign_in.succeeded",
      actor: "operator:ada",
      data: { by: "password", role: "owner" },
    });
    const [row] = await rows("passwords");
    expect(row).toMatchObject({
      hash: expect.stringMatching(/^\$argon2id\$v=19\$m=65536,t=3,p=4\$[^$]{22}\$[^$]{43}$/),
    });
    const token = second.cookies(on.fleet.server.url).get(SESSION) ?? "";
    expect(JSON.stringify([await sessions(), await rows("invitations"), row])).not.toContain(token);
    const headers = { Cookie: `${SESSION}=${token}`, Origin: on.fleet.server.url };
    expect(await on.org.org.getOrg({}, { headers })).toMatchObject({ member: "ada", role: Role.OWNER });
  });

  test("a link serves once, within its time, until another one is made; whatever is wrong is answered alike", async () => {
    await on.org.org.addMember({ name: "bob", role: Role.VIEWER }, on.org.headers);
    const replaced = await people.invite("bob");
    const late = await people.invite("bob");
    on.fleet.clock.advance(86_400_000);
    const fresh = await people.invite("bob");
    const [mine, theirs] = await Promise.all([
      people.choose(new ScriptedBrowser(), fresh),
      people.choose(new ScriptedBrowser(), fresh, WRONG_PASSWORD),
    ]);
    expect(new Set([mine.status, theirs.status])).toEqual(new Set([200, 401]));
    const before = await rows("passwords");
    const answers = new Set<string>();
    for (const code of [replaced, late, fresh, "A".repeat(43), "", "../../etc"]) {
      const shown = await new ScriptedBrowser().visit(people.at(`/join?code=${encodeURIComponent(code)}`));
      const posted = await people.choose(new ScriptedBrowser(), code);
      for (const { status, text } of [shown, posted]) answers.add(`${status} ${text}`);
    }
    expect([...answers]).toHaveLength(1);
    expect([...answers][0]).toContain("401 ");
    expect(await rows("passwords")).toEqual(before);
    await expect(on.org.org.inviteMember({ name: "bob" }, on.org.headers)).rejects.toEqual(
      refused("members.has_password"),
    );
    await expect(on.org.org.inviteMember({ name: "nobody" }, on.org.headers)).rejects.toEqual(
      refused("members.not_found"),
    );
  });

  test("a password that is soon guessed is refused with the reason, and the link goes on serving", async () => {
    await on.org.org.addMember({ name: "carla", role: Role.VIEWER }, on.org.headers);
    const code = await people.invite("carla");
    const before = await rows("passwords");
    for (const [next, says] of [
      ["too short", "15 characters"],
      ["aaaaaaaaaaaaaaaaaaaaaaaa", "again and again"],
      ["carlacarlacarlacarla", "again and again"],
      ["acme-carla-gatehouse", "again and again"],
      ["x".repeat(129), "more than 128"],
    ] as const) {
      const answer = await people.choose(new ScriptedBrowser(), code, next);
      expect(answer.status, next).toBe(400);
      expect(answer.text).toContain(says);
      expect(answer.text).not.toContain(next);
    }
    expect((await people.choose(new ScriptedBrowser(), code, PASSWORD, WRONG_PASSWORD)).text).toContain(
      "The two fields differ.",
    );
    expect(await rows("passwords")).toEqual(before);
    // The same letters, composed in another way.
    expect((await people.choose(new ScriptedBrowser(), code, "Fünf große Bäume im Wald")).status).toBe(200);
    const decomposed = "Fünf große Bäume im Wald".normalize("NFD");
    expect((await people.signIn(new ScriptedBrowser(), { name: "carla", password: decomposed })).status).toBe(200);
  });

  test("a reset by an owner ends password and sessions at once, and makes a link to choose another", async () => {
    const browser = await people.addMember("fred");
    expect(await people.isIn(browser)).toBe(true);
    const machine = await people.approveMachine(browser);
    const keys = await storedRows(on.database.location, on.org.orgId, "api_keys");
    const code = await people.invite("fred", true);
    expect(await people.isIn(browser)).toBe(false);
    expect(await people.fetchKey(machine)).toEqual({ error: "expired_token" });
    expect(await storedRows(on.database.location, on.org.orgId, "api_keys")).toEqual(keys);
    expect((await people.signIn(new ScriptedBrowser(), { name: "fred" })).status).toBe(401);
    expect(await lastAudit()).toMatchObject({ kind: "sign_in.refused", data: { member: "fred" } });
    expect((await people.choose(browser, code, WRONG_PASSWORD)).status).toBe(200);
    expect((await people.signIn(new ScriptedBrowser(), { name: "fred", password: WRONG_PASSWORD })).url).toBe(
      people.at("/account"),
    );
  });

  test("whoever runs the server lets an owner choose again, and nobody else; the server hears of it", async () => {
    const own = new ScriptedBrowser();
    await people.signIn(own, { name: "ada" });
    await on.org.org.addMember({ name: "paul", role: Role.ADMIN }, on.org.headers);
    const config = { directory: on.fleet.directory, store: on.database.location };
    const deps = { clock: on.fleet.clock, random: systemRandom };
    const before = await rows("invitations");
    for (const [owner, code] of [
      [{ org: "acme", name: "paul" }, "members.not_found"],
      [{ org: "acme", name: "nobody" }, "members.not_found"],
      [{ org: "elsewhere", name: "ada" }, "org.not_found"],
    ] as const) {
      await expect(createOwnerLink(config, owner, deps)).rejects.toMatchObject({ code });
    }
    expect(await rows("invitations")).toEqual(before);
    expect(await people.isIn(own)).toBe(true);
    const { code } = await createOwnerLink(config, { org: "acme", name: "ada" }, deps);
    expect(await lastAudit()).toMatchObject({ kind: "password.reset", actor: "server", data: { member: "ada" } });
    expect(await people.isIn(own)).toBe(false);
    expect((await people.choose(own, code)).text).toContain("<strong>owner</strong>");
  });

  test("a password is changed by who knows it, and every other browser is signed out", async () => {
    const own = await people.addMember("gina");
    const other = new ScriptedBrowser();
    await people.signIn(other, { name: "gina" });
    const change = (current: string, next: string, again = next) =>
      own.visit(people.at("/account/password"), { form: { current, next, again } });
    expect((await change(WRONG_PASSWORD, "another four words here")).text).toContain("not your current password");
    expect(await lastAudit()).toMatchObject({ kind: "password.refused", actor: "operator:gina" });
    expect((await change(PASSWORD, "short")).text).toContain("15 characters");
    expect((await change(PASSWORD, "another four words here", "different")).text).toContain("The two fields differ.");
    expect(await people.isIn(other)).toBe(true);
    const machine = await people.approveMachine(other);
    expect((await change(PASSWORD, "another four words here")).text).toContain("Your password is changed.");
    expect([await people.isIn(own), await people.isIn(other)]).toEqual([true, false]);
    expect(await people.fetchKey(machine)).toEqual({ error: "expired_token" });
    expect((await people.signIn(new ScriptedBrowser(), { name: "gina" })).status).toBe(401);
    const late = await people.signIn(new ScriptedBrowser(), { name: "gina", password: "another four words here" });
    expect(late.url).toBe(people.at("/account"));
  });

  test("no other site signs anybody in, spends a link or changes a password", async () => {
    const browser = await people.addMember("hugo");
    await on.org.org.addMember({ name: "ines", role: Role.VIEWER }, on.org.headers);
    const code = await people.invite("ines");
    const before = [await rows("passwords"), await sessions()];
    const next = "another four words here";
    for (const headers of [
      { origin: "https://evil.example" },
      { origin: "null" },
      { "sec-fetch-site": "cross-site" },
    ]) {
      const form = { org: "acme", name: "hugo", password: PASSWORD };
      expect((await new ScriptedBrowser().visit(people.at("/sign-in"), { form, headers })).status).toBe(401);
      const join = { code, next, again: next };
      expect((await new ScriptedBrowser().visit(people.at("/join"), { form: join, headers })).status).toBe(401);
      const change = { current: PASSWORD, next, again: next };
      expect((await browser.visit(people.at("/account/password"), { form: change, headers })).status).toBe(401);
      expect(
        (await browser.visit(people.at("/account/sessions/end"), { form: { session: "others" }, headers })).status,
      ).toBe(401);
    }
    expect([await rows("passwords"), await sessions()]).toEqual(before);
    expect((await people.choose(new ScriptedBrowser(), code)).status).toBe(200);
  });

  test("who has the same name in another organisation has another password", async () => {
    const config = { directory: on.fleet.directory, store: on.database.location };
    const setup = await createSetupCode(config, { clock: on.fleet.clock, random: systemRandom });
    const other = await on.fleet.createOrg("other", setup);
    const { code } = await other.org.inviteMember({ name: "ada" }, other.headers);
    await people.choose(new ScriptedBrowser(), code, WRONG_PASSWORD);
    expect((await people.signIn(new ScriptedBrowser(), { name: "ada", password: WRONG_PASSWORD })).status).toBe(401);
    expect(
      (await people.signIn(new ScriptedBrowser(), { name: "ada", org: "other", password: WRONG_PASSWORD })).url,
    ).toBe(people.at("/account"));
  });

  test("only an owner makes links, and no key makes one that reaches further than itself", async () => {
    await people.addMember("jan", Role.ADMIN);
    const key = { label: "k", role: Role.ADMIN, ttlMs: 0n, member: "" };
    const { apiKey } = await on.org.org.createApiKey(key, on.org.headers);
    const client = createClient(OrgAdminService, on.fleet.transport);
    const before = await rows("invitations");
    for (const name of ["ada", "jan"]) {
      const call = client.inviteMember({ name, reset: true }, { headers: { Authorization: `Bearer ${apiKey}` } });
      await expect(call).rejects.toEqual(refused("auth.forbidden"));
    }
    expect(await rows("invitations")).toEqual(before);
    expect((await people.signIn(new ScriptedBrowser(), { name: "jan" })).url).toBe(people.at("/account"));
  });

  test("no line of the log holds a password, a link's code, a session or what a known browser is known by", async () => {
    await on.org.org.addMember({ name: "kim", role: Role.VIEWER }, on.org.headers);
    const code = await people.invite("kim");
    const browser = new ScriptedBrowser();
    await browser.visit(people.at(`/join?code=${code}`));
    await people.choose(browser, code, "short-secret");
    await people.choose(browser, code);
    await people.choose(browser, code);
    await people.signIn(browser, { name: "kim", password: "a guess that is wrong" });
    await people.signIn(browser, { name: PASSWORD, password: PASSWORD });
    const cookies = browser.cookies(on.fleet.server.url);
    const lines = on.fleet.lines.join("\n");
    const audited = JSON.stringify(await auditEntries(on.database.location, on.org.orgId));
    const secrets = [
      code,
      "short-secret",
      PASSWORD,
      "a guess that is wrong",
      cookies.get(SESSION),
      cookies.get(KNOWN_BROWSER),
    ];
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
