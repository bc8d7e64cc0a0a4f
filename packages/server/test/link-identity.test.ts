import { type FakeIdentityProvider, openFakeIdentityProvider, ScriptedBrowser } from "@gatehouse/testbed";
import { Role } from "@gatehouse/wire";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { DATABASES, type TestDatabase } from "./databases.ts";
import { FleetUnderTest, type OrgUnderTest } from "./fleet-under-test.ts";
import { oidcOf } from "./oidc-under-test.ts";
import { PASSWORD, PeopleUnderTest, SESSION } from "./people-under-test.ts";
import { auditEntries, storedRows } from "./stored-rows.ts";

describe.each(DATABASES)("on $name", ({ open }) => {
  let database: TestDatabase;
  let provider: FakeIdentityProvider;
  let fleet: FleetUnderTest;
  let org: OrgUnderTest;
  let people: PeopleUnderTest;

  beforeAll(async () => {
    database = await open();
    provider = await openFakeIdentityProvider();
    fleet = await FleetUnderTest.open(database.location, { oidc: oidcOf(provider), hasPasswords: true });
    provider.admit(`${fleet.server.url}/sign-in/callback`);
    org = await fleet.createOrg("acme");
    people = new PeopleUnderTest(fleet, org);
  });

  afterAll(async () => {
    await fleet[Symbol.asyncDispose]();
    await provider[Symbol.asyncDispose]();
    await database[Symbol.asyncDispose]();
  });

  const identities = () => storedRows(database.location, org.orgId, "identities");
  const lastAudit = async () => (await auditEntries(database.location, org.orgId)).at(-1);
  const isCallback = (url: URL) => url.pathname === "/sign-in/callback";
  /** The page that leads to the provider, and where to. */
  const beginLink = async (browser: ScriptedBrowser, current = PASSWORD) => {
    const { status, text, headers } = await browser.visit(people.at("/account/link"), { form: { current } });
    const [, href = ""] = /class="button main" href="(https:[^"]+)"/.exec(text) ?? [];
    return { status, headers, url: href.replaceAll("&amp;", "&") };
  };
  const link = async (browser: ScriptedBrowser) => browser.visit((await beginLink(browser)).url);

  test("a member links who they are at the provider by their password, and signs in there as the same member", async () => {
    const browser = await people.addMember("bea", Role.ADMIN);
    const page = await browser.visit(people.at("/sign-in"));
    expect(page.text).toContain(`href="/sign-in/provider?to=account">Sign in at ${new URL(provider.issuer).host}`);
    provider.person = { sub: "u1", groups: ["admins"], preferred_username: "somebody" };
    const leads = await beginLink(browser);
    expect(new URL(leads.url).origin).toBe(new URL(provider.issuer).origin);
    expect(leads.headers["content-security-policy"]).toContain("form-action 'self'");
    const linked = await browser.visit(leads.url);
    expect(linked).toMatchObject({ status: 200, url: people.at("/account?done=linked") });
    expect(linked.text).toContain(new URL(provider.issuer).host);
    expect(await lastAudit()).toMatchObject({
      kind: "identity.linked",
      actor: "operator:bea",
      data: { subject: "u1" },
    });
    const other = await new ScriptedBrowser().visit(people.at("/sign-in/provider"));
    expect(other.text).toContain("<strong>bea</strong>, with the role <strong>admin</strong>");
    expect((await org.org.listMembers({}, org.headers)).members.map(({ name }) => name)).toEqual(["ada", "bea"]);
    expect((await org.org.listMembers({}, org.headers)).members).toMatchObject([
      { name: "ada", hasPassword: false, hasIdentity: false, linkExpiresAt: 0n },
      { name: "bea", hasPassword: true, hasIdentity: true, linkExpiresAt: 0n },
    ]);
    // The rules still say what a sign-in there is worth.
    provider.person = { sub: "u1", groups: ["staff"] };
    expect((await new ScriptedBrowser().visit(people.at("/sign-in/provider"))).text).toContain(
      "<strong>viewer</strong>",
    );
    provider.person = { sub: "u1" };
    expect((await new ScriptedBrowser().visit(people.at("/sign-in/provider"))).status).toBe(403);
  });

  test("nothing is linked without the password, from another site, in another session or by somebody who is another member", async () => {
    const browser = await people.addMember("carl", Role.ADMIN);
    const mallory = await people.addMember("mallory", Role.ADMIN);
    const before = await identities();
    provider.person = { sub: "u2", groups: ["admins"] };
    expect(await beginLink(browser, "a wrong password, this")).toMatchObject({ status: 401, url: "" });
    const headers = { origin: "https://evil.example" };
    const form = { current: PASSWORD };
    expect((await browser.visit(people.at("/account/link"), { form, headers })).status).toBe(401);
    expect((await new ScriptedBrowser().visit(people.at("/account/link"), { form })).status).toBe(401);
    // Begun by one person, ended in another's session.
    const begun = await browser.visit((await beginLink(browser)).url, { stopAt: isCallback });
    const cookie = browser.cookies(fleet.server.url).get("__Host-gatehouse-sign-in") ?? "";
    mallory.setCookie(fleet.server.url, "__Host-gatehouse-sign-in", cookie);
    expect((await mallory.visitOnce(begun.url)).status).toBe(400);
    const without = new ScriptedBrowser();
    without.setCookie(fleet.server.url, "__Host-gatehouse-sign-in", cookie);
    expect((await without.visitOnce(begun.url)).status).toBe(400);
    // A sign-in's cookie makes no link, a link's no sign-in.
    const swapped = cookie.replace(".link.", ".account.");
    without.setCookie(fleet.server.url, "__Host-gatehouse-sign-in", swapped);
    expect((await without.visitOnce(begun.url)).status).toBe(400);
    expect(without.cookies(fleet.server.url).get(SESSION)).toBeUndefined();
    provider.person = { sub: "u1", groups: ["admins"] };
    // In a browser that is nobody at the provider yet.
    const fresh = new ScriptedBrowser();
    await fresh.visit(people.at("/sign-in"), { form: { org: "acme", name: "carl", password: PASSWORD } });
    expect((await link(fresh)).status).toBe(409);
    expect(await identities()).toEqual(before);
  });

  test("who is linked takes it back while they have a password, and every other browser is signed out", async () => {
    const browser = await people.addMember("dora", Role.ADMIN);
    provider.person = { sub: "u3", groups: ["admins"] };
    await link(browser);
    const other = new ScriptedBrowser();
    expect((await other.visit(people.at("/sign-in/provider"))).text).toContain("<strong>dora</strong>");
    const form = { issuer: provider.issuer };
    expect((await browser.visit(people.at("/account/unlink"), { form })).text).toContain(
      "You no longer sign in there.",
    );
    expect((await other.visit(people.at("/account"))).url).toBe(people.at("/sign-in"));
    expect((await identities()).filter((row) => JSON.stringify(row).includes('"u3"'))).toEqual([]);
    expect(await lastAudit()).toMatchObject({ kind: "identity.unlinked", actor: "operator:dora" });
    // Somebody who came by the provider has nothing else.
    provider.person = { sub: "u4", groups: ["admins"], preferred_username: "emma" };
    const only = new ScriptedBrowser();
    expect((await only.visit(people.at("/sign-in/provider"))).text).not.toContain("/account/unlink");
    expect((await only.visit(people.at("/account/unlink"), { form })).status).toBe(403);
    expect((await new ScriptedBrowser().visit(people.at("/sign-in/provider"))).text).toContain("<strong>emma</strong>");
  });

  test("a member who is removed is let in neither by the password nor by the provider", async () => {
    const browser = await people.addMember("finn", Role.ADMIN);
    provider.person = { sub: "u5", groups: ["admins"] };
    await link(browser);
    await org.org.removeMember({ name: "finn" }, org.headers);
    expect((await new ScriptedBrowser().visit(people.at("/sign-in/provider"))).status).toBe(403);
    expect(await lastAudit()).toMatchObject({ kind: "sign_in.refused", data: { reason: "removed" } });
    const form = { org: "acme", name: "finn", password: PASSWORD };
    expect((await new ScriptedBrowser().visit(people.at("/sign-in"), { form })).status).toBe(401);
    // Nor does somebody of the name have the link, or who they are at the provider, until they prove to be both.
    const again = await people.addMember("finn", Role.VIEWER);
    const { members } = await org.org.listMembers({}, org.headers);
    expect(members.find(({ name }) => name === "finn")).toMatchObject({ hasIdentity: false });
    expect((await new ScriptedBrowser().visit(people.at("/sign-in/provider"))).status).toBe(403);
    expect((await link(again)).status).toBe(200);
    const back = await new ScriptedBrowser().visit(people.at("/sign-in/provider"));
    expect(back.text).toContain("<strong>finn</strong>, with the role <strong>viewer</strong>");
  });
});
