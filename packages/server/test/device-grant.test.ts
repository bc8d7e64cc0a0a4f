import { base64url, pinTuple } from "@gatehouse/core";
import { type FakeIdentityProvider, openFakeIdentityProvider, ScriptedBrowser } from "@gatehouse/testbed";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { DATABASES, type TestDatabase } from "./databases.ts";
import { FleetUnderTest, hash, type OrgUnderTest } from "./fleet-under-test.ts";
import { oidcOf } from "./oidc-under-test.ts";
import { auditKinds, storedRows } from "./stored-rows.ts";

const GRANT_TYPE = "urn:ietf:params:oauth:grant-type:device_code";
const MINUTE_MS = 60_000;

interface Begun {
  readonly device_code: string;
  readonly user_code: string;
  readonly interval: number;
}

describe.each(DATABASES)("on $name", ({ open }) => {
  let database: TestDatabase;
  let provider: FakeIdentityProvider;
  let fleet: FleetUnderTest;
  let org: OrgUnderTest;
  const bea = new ScriptedBrowser();
  const machine = new ScriptedBrowser();

  beforeAll(async () => {
    database = await open();
    provider = await openFakeIdentityProvider();
    fleet = await FleetUnderTest.open(database.location, { oidc: oidcOf(provider) });
    provider.admit(`${fleet.server.url}/sign-in/callback`);
    org = await fleet.createOrg("acme");
    provider.person = { sub: "u1", groups: ["admins"], preferred_username: "bea" };
    await bea.visit(`${fleet.server.url}/sign-in?to=device`);
  });

  afterAll(async () => {
    await fleet[Symbol.asyncDispose]();
    await provider[Symbol.asyncDispose]();
    await database[Symbol.asyncDispose]();
  });

  const post = async (path: string, form: Record<string, string>) => {
    const { status, text } = await machine.visitOnce(`${fleet.server.url}${path}`, { form });
    return { status, body: JSON.parse(text) };
  };
  const pin = () => base64url(hash(pinTuple(fleet.serverKey, org.orgId, org.orgKey.publicKey)).subarray(0, 16));
  const ask = async (
    more: Record<string, string> = {},
  ): Promise<{ status: number; body: Begun & { error?: string } }> =>
    post("/oauth/device_authorization", { client_id: "gatehouse-cli", pin: pin(), machine: "laptop", ...more });
  const poll = (device_code: string) =>
    post("/oauth/token", { client_id: "gatehouse-cli", grant_type: GRANT_TYPE, device_code });
  const type = (user_code: string, browser = bea) =>
    browser.visitOnce(`${fleet.server.url}/device`, { form: { user_code } });
  const decide = (user_code: string, decision: string, headers: Record<string, string> = {}) =>
    bea.visitOnce(`${fleet.server.url}/device/decide`, { form: { user_code, decision }, headers });
  const keys = async () => (await storedRows(database.location, org.orgId, "api_keys")).length;

  test("a machine acts for the person who allowed it: once, for twelve hours, with what their session may", async () => {
    const { status, body: begun } = await ask();
    expect(status).toBe(200);
    expect(begun).toMatchObject({
      user_code: expect.stringMatching(/^[BCDFGHJKLMNPQRSTVWXZ]{4}-[BCDFGHJKLMNPQRSTVWXZ]{4}$/),
      verification_uri: `${fleet.server.url}/device`,
      interval: 5,
      expires_in: 600,
    });
    expect(begun).not.toHaveProperty("verification_uri_complete");
    expect((await poll(begun.device_code)).body).toEqual({ error: "authorization_pending" });
    const shown = await type(begun.user_code.toLowerCase().replace("-", " "));
    expect(shown.text).toContain("<dd>laptop</dd>");
    expect(shown.text).toContain("<dd>127.0.0.1</dd>");
    expect((await decide(begun.user_code, "approve")).text).toContain("Allowed");
    fleet.clock.advance(5_000);
    const done = await poll(begun.device_code);
    expect(done.body).toMatchObject({ token_type: "Bearer", expires_in: 43_200, member: "bea" });
    const headers = { Authorization: `Bearer ${done.body.access_token}` };
    expect(await org.org.getOrg({}, { headers })).toMatchObject({ member: "bea", role: 3 });
    expect((await poll(begun.device_code)).body).toEqual({ error: "expired_token" });
    const stored = JSON.stringify([
      await storedRows(database.location, org.orgId, "device_grants"),
      await storedRows(database.location, org.orgId, "api_keys"),
    ]);
    for (const secret of [begun.device_code, begun.user_code, done.body.access_token]) {
      expect(stored).not.toContain(secret);
      expect(fleet.lines.join("\n")).not.toContain(secret);
    }
    expect(await auditKinds(database.location, org.orgId)).toEqual(
      expect.arrayContaining(["login.asked", "login.approved", "api_key.created"]),
    );
    await org.org.removeMember({ name: "bea" }, org.headers);
    await expect(org.org.getOrg({}, { headers })).rejects.toThrow("not known here");
    await org.org.addMember({ name: "bea", role: 3, samePerson: true }, org.headers);
    await bea.visit(`${fleet.server.url}/sign-in`);
  });

  test("of two polls at once that find a grant allowed, one has the key", async () => {
    const { body } = await ask();
    await decide(body.user_code, "approve");
    const before = await keys();
    const answers = await Promise.all([poll(body.device_code), poll(body.device_code), poll(body.device_code)]);
    expect(answers.filter((one) => one.status === 200)).toHaveLength(1);
    expect(await keys()).toBe(before + 1);
  });

  test("a refused, an expired and an unknown grant give no key", async () => {
    const before = await keys();
    const denied = (await ask()).body;
    expect((await decide(denied.user_code, "deny")).text).toContain("Refused");
    expect((await poll(denied.device_code)).body).toEqual({ error: "access_denied" });
    const late = (await ask()).body;
    fleet.clock.advance(10 * MINUTE_MS);
    expect((await decide(late.user_code, "approve")).status).toBe(404);
    expect((await poll(late.device_code)).body).toEqual({ error: "expired_token" });
    expect((await poll("A".repeat(43))).body).toEqual({ error: "expired_token" });
    expect((await poll("short")).body).toEqual({ error: "invalid_grant" });
    expect(await keys()).toBe(before);
  });

  test("who polls too often is told to slow down, and waits longer from then on", async () => {
    const { body } = await ask();
    expect((await poll(body.device_code)).body).toEqual({ error: "authorization_pending" });
    fleet.clock.advance(4_000);
    expect((await poll(body.device_code)).body).toEqual({ error: "slow_down" });
    fleet.clock.advance(9_000);
    expect((await poll(body.device_code)).body).toEqual({ error: "slow_down" });
    fleet.clock.advance(15_000);
    expect((await poll(body.device_code)).body).toEqual({ error: "authorization_pending" });
  });

  test("a decision counts from our own page alone, and from nobody who is not signed in", async () => {
    const { body } = await ask();
    expect((await decide(body.user_code, "approve", { origin: "https://evil.example" })).status).toBe(401);
    expect((await decide(body.user_code, "approve", { origin: "null" })).status).toBe(401);
    expect((await decide(body.user_code, "approve", { "sec-fetch-site": "cross-site" })).status).toBe(401);
    expect((await decide(body.user_code, "approve", { authorization: `Bearer ${org.apiKey}` })).status).toBe(401);
    expect((await type(body.user_code, new ScriptedBrowser())).status).toBe(401);
    expect((await new ScriptedBrowser().visitOnce(`${fleet.server.url}/device`)).headers.location).toBe(
      "/sign-in?to=device",
    );
    expect((await poll(body.device_code)).body).toEqual({ error: "authorization_pending" });
  });

  test("other clients, grant types, pins and names of machines get nothing", async () => {
    const before = (await storedRows(database.location, org.orgId, "device_grants")).length;
    expect((await ask({ client_id: "other" })).body).toEqual({ error: "invalid_client" });
    for (const more of [
      { pin: base64url(hash("x").subarray(0, 16)) },
      { pin: "" },
      { machine: "<b>x</b>" },
      { machine: "" },
    ]) {
      expect((await ask(more)).body).toEqual({ error: "invalid_request" });
    }
    const form = { client_id: "gatehouse-cli", grant_type: "password", device_code: "A".repeat(43) };
    expect((await post("/oauth/token", form)).body).toEqual({ error: "unsupported_grant_type" });
    expect(await storedRows(database.location, org.orgId, "device_grants")).toHaveLength(before);
  });

  test("whoever guesses codes, or asks without end, is stopped", async () => {
    // What was spent before is forgiven by then.
    fleet.clock.advance(20 * MINUTE_MS);
    const { body } = await ask();
    const statuses = [];
    for (let turn = 0; turn < 21; turn += 1) statuses.push((await type("BBBB-BBBB")).status);
    expect(statuses.slice(0, 20)).toEqual(new Array(20).fill(404));
    expect(statuses[20]).toBe(429);
    expect((await decide(body.user_code, "approve")).status).toBe(429);
    let last = { status: 0 };
    for (let turn = 0; turn < 21; turn += 1) last = await ask();
    expect(last.status).toBe(429);
    expect((await poll(body.device_code)).body).toEqual({ error: "authorization_pending" });
  });
});
