import { base64url, pinTuple, systemRandom } from "@gatehouse/core";
import { type FakeIdentityProvider, openFakeIdentityProvider, ScriptedBrowser } from "@gatehouse/testbed";
import { afterAll, beforeAll, expect, test } from "vitest";
import { beginDeviceGrant } from "../src/people/device-grants.ts";
import { connectStore } from "../src/store/open-store.ts";
import { DATABASES, type TestDatabase } from "./databases.ts";
import { FleetUnderTest, hash, type OrgUnderTest } from "./fleet-under-test.ts";
import { oidcOf } from "./oidc-under-test.ts";
import { storedRows } from "./stored-rows.ts";

const GRANT_TYPE = "urn:ietf:params:oauth:grant-type:device_code";
let database: TestDatabase;
let provider: FakeIdentityProvider;
let fleet: FleetUnderTest;
let org: OrgUnderTest;
const machine = new ScriptedBrowser();

beforeAll(async () => {
  database = await DATABASES[0].open();
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

const pin = () => base64url(hash(pinTuple(fleet.serverKey, org.orgId, org.orgKey.publicKey)).subarray(0, 16));
const post = async (path: string, form: Record<string, string>) => {
  const { status, text } = await machine.visitOnce(`${fleet.server.url}${path}`, {
    form: { client_id: "gatehouse-cli", ...form },
  });
  return { status, body: JSON.parse(text) };
};
const poll = (device_code: string) => post("/oauth/token", { grant_type: GRANT_TYPE, device_code });

test("returns from nowhere cost their network its budget: after twenty none is looked at, and nobody is signed in", async () => {
  const exchanges = () => provider.asked.filter((path) => path === "/token").length;
  const before = exchanges();
  const statuses = [];
  for (let turn = 0; turn < 22; turn += 1) {
    const browser = new ScriptedBrowser();
    const { headers } = await browser.visitOnce(`${fleet.server.url}/sign-in/provider`);
    const state = new URL(headers.location ?? "").searchParams.get("state") ?? "";
    const query = new URLSearchParams({ code: "guess", state, iss: provider.issuer });
    statuses.push((await browser.visitOnce(`${fleet.server.url}/sign-in/callback?${query}`)).status);
  }
  expect(statuses.slice(0, 20)).toEqual(new Array(20).fill(400));
  expect(statuses.slice(20)).toEqual([429, 429]);
  expect(exchanges() - before).toBe(20);
  expect(await storedRows(database.location, org.orgId, "member_sessions")).toEqual([]);
});

test("codes that were never given out cost their network its budget; who waits in good order spends nothing", async () => {
  const { body } = await post("/oauth/device_authorization", { pin: pin(), machine: "laptop" });
  for (let turn = 0; turn < 25; turn += 1) {
    expect((await poll(body.device_code)).body).toEqual({ error: "authorization_pending" });
    fleet.clock.advance(5_000);
  }
  const answers = [];
  for (let turn = 0; turn < 21; turn += 1) answers.push(await poll(base64url(systemRandom.bytes(32))));
  expect(answers.slice(0, 20).map(({ body: said }) => said.error)).toEqual(new Array(20).fill("expired_token"));
  expect(answers[20]).toEqual({ status: 429, body: { error: "temporarily_unavailable" } });
});

test("one network has sixteen machines waiting at most; others go on asking", async () => {
  await using store = await connectStore(database.location, fleet.clock);
  const deps = { random: systemRandom, macKey: systemRandom.bytes(32) };
  const ask = (address: string) =>
    store.inOrg(org.orgId, (tx) => beginDeviceGrant(tx, { machine: "laptop", address }, deps));
  for (let turn = 0; turn < 16; turn += 1) await ask(`2001:db8::${turn}`);
  const before = await storedRows(database.location, org.orgId, "device_grants");
  await expect(ask("2001:db8::ffff")).rejects.toMatchObject({ code: "auth.slow_down" });
  expect(await storedRows(database.location, org.orgId, "device_grants")).toEqual(before);
  await ask("2001:db8:1::1");
  await ask("192.0.2.7");
});

test("pins that are nobody's cost their address its budget", async () => {
  const look = async (of: string) =>
    (await machine.visitOnce(`${fleet.server.url}/.well-known/gatehouse?nonce=${"A".repeat(32)}&pin=${of}`)).status;
  expect(await look(pin())).toBe(200);
  const statuses = [];
  for (let turn = 0; turn < 120; turn += 1) statuses.push(await look(base64url(systemRandom.bytes(16))));
  expect(statuses.slice(0, 50)).toEqual(new Array(50).fill(404));
  expect(statuses).toContain(429);
});
