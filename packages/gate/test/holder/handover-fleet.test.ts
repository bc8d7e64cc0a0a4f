import { once } from "node:events";
import { readdir, readFile } from "node:fs/promises";
import { type IncomingMessage, request } from "node:http";
import { policyPart } from "@gatehouse/kit";
import { eventually, type FakeApi } from "@gatehouse/testbed";
import { expect, test } from "vitest";
import type { GateCalls, GateConfig } from "../../src/holder/gate-protocol.ts";
import { HostileServer, VALUE } from "../fleet/hostile-server.ts";
import { openService, runAsking, serviceConfig } from "./faults.ts";
import { entriesIn, handOver, openTunnel, type Tunnel } from "./handover-world.ts";
import { type HolderProcess, type HolderState, openHolderState, sandboxRun } from "./holder-process.ts";

/** A joined node with runs that use its organisation's credential, one of them through a tunnel. */
interface FleetWorld extends AsyncDisposable {
  readonly state: HolderState;
  readonly server: HostileServer;
  readonly credential: Awaited<ReturnType<HostileServer["seal"]>>;
  readonly first: HolderProcess;
  readonly tunnel: Tunnel;
  /** Hands over to a successor, which serves when it returns. */
  succeed(config?: Partial<GateConfig>): Promise<HolderProcess>;
}

const GRANT = "gh";
const STALE = { status: 503, denied: "gate.bundle_stale" };
const REFUSED = { code: "daemon.handing_over" };
const OK = { status: 200 };

async function openFleetWorld(api: FakeApi, { otherRuns = 0 } = {}): Promise<FleetWorld> {
  const state = await openHolderState();
  const server = await HostileServer.open(state.directory);
  const config = await serviceConfig(state);
  const first = await state.start({ config });
  const host = `api.example.test:${api.port}`;
  const bindings = [{ hosts: [host], header: "authorization", format: "Bearer {value}" }];
  const credential = await server.seal(GRANT, { bindings });
  await first.call("applyBundle", await server.bundle(server.parts([credential])));
  await first.call("hearFreshness", server.word(1));
  const start = (runId: string) => first.call("startRun", runAsking(host, { runId, grants: [GRANT] }));
  await Promise.all(Array.from({ length: otherRuns }, (_, number) => start(`other-${number}`)));
  const tunnel = await openTunnel({ ...(await start("run-1")), host });
  return {
    state,
    server,
    credential,
    first,
    tunnel,
    succeed: async (own = {}) => state.start({ config: { ...config, ...own, predecessor: await handOver(first) } }),
    [Symbol.asyncDispose]: async () => {
      tunnel.close();
      await state[Symbol.asyncDispose]();
    },
  };
}

async function fleetFiles(state: HolderState): Promise<readonly string[]> {
  return Promise.all(["state.json", "freshness.json"].map((name) => readFile(state.file(`fleet/${name}`), "utf8")));
}

const urlsOf = (api: FakeApi) => api.requests.map(({ url }) => url);

test("the successor's bound of staleness holds in the old tunnel: it passes, a newer word moves it, and it passes again", async () => {
  const boundMs = 2_000;
  /** A time since boot has two digits. */
  const roundedMs = 20;
  await using api = await openService(VALUE);
  await using world = await openFleetWorld(api);
  const { first, server, tunnel } = world;
  expect(await tunnel.ask("/before")).toMatchObject(OK);
  const successor = await world.succeed({ stalenessBoundMs: boundMs });
  await eventually("a stale answer", async () => (await tunnel.ask("/until")).denied === STALE.denied);

  const tellingAt = performance.now();
  await successor.call("hearFreshness", server.word(2));
  const toldAt = performance.now();
  const servedAt: number[] = [];
  for (let asksAt = toldAt; (await tunnel.ask("/moved")).status === 200; asksAt = performance.now()) {
    servedAt.push(asksAt);
  }
  expect(performance.now()).toBeGreaterThan(tellingAt + boundMs - roundedMs);
  expect(servedAt.at(-1)).toBeLessThan(toldAt + boundMs + roundedMs);
  const served = urlsOf(api);
  for (let left = 3; left > 0; left -= 1) expect(await tunnel.ask("/passed")).toMatchObject(STALE);

  // The old key-holder has not heard this word: a courier may bring it there, which would know a longer bound.
  await expect(first.call("hearFreshness", server.word(2))).rejects.toMatchObject(REFUSED);
  expect(await tunnel.ask("/replayed")).toMatchObject(STALE);
  expect(urlsOf(api)).toEqual(served);
}, 60_000);

test("a key-holder that has handed over follows no call that changes anything; what the successor takes back is gone from its tunnels", async () => {
  await using api = await openService(VALUE);
  await using world = await openFleetWorld(api);
  const { credential, first, server, state, tunnel } = world;
  const successor = await world.succeed();
  const files = await fleetFiles(state);
  const revocation = server.revocation([credential.credentialId], 2);
  const order = server.reseal(credential.credentialId, []);
  const changes: { readonly [M in keyof GateCalls]?: GateCalls[M]["params"] } = {
    startRun: sandboxRun({ runId: "late", keeper: undefined }),
    serveListener: { runId: "run-1" },
    endRun: { runId: "run-1" },
    putOnRecord: { kind: "node.late", actor: "node", data: {} },
    applyBundle: await server.bundle(server.parts([])),
    revokeCredentials: revocation,
    resealCredential: { order, nowMs: 1_000 },
    hearFreshness: server.word(2),
  };
  for (const [name, params] of Object.entries(changes)) {
    await expect(first.call(name as keyof GateCalls, params), name).rejects.toMatchObject(REFUSED);
  }
  expect(await fleetFiles(state)).toEqual(files);
  expect(await first.call("fleetStatus", null)).toMatchObject({ grants: [GRANT], bundle: { generation: 1 } });
  expect(await first.call("listRuns", null)).toHaveLength(1);
  expect(await tunnel.ask("/served")).toMatchObject(OK);

  await successor.call("revokeCredentials", revocation);
  expect(await tunnel.ask("/revoked")).toEqual({ status: 0 });
  expect(urlsOf(api)).toEqual(["/served"]);
  for (const holder of [first, successor]) await holder[Symbol.asyncDispose]();
  const kinds = (await entriesIn(state)).map(({ kind }) => kind);
  expect(kinds.filter((kind) => /^(bundle|credential|node|run)\./.test(kind))).toEqual([
    "bundle.applied",
    "run.registered",
    "credential.revoked",
    "run.grant_withdrawn",
  ]);
}, 60_000);

test("a bundle that is being served when the daemon hands over is served in every run first: what it closes is closed in old tunnels", async () => {
  await using api = await openService(VALUE);
  await using world = await openFleetWorld(api, { otherRuns: 200 });
  const { credential, first, server, state, tunnel } = world;
  expect(await tunnel.ask("/before")).toMatchObject(OK);
  const closing = policyPart({ id: "p", name: "p", document: '{"mode":"strict"}' }, 1);
  const applying = first.call("applyBundle", await server.bundle([...server.parts([credential]), closing]));
  const isWritten = async () =>
    JSON.parse(await readFile(state.file("fleet/state.json"), "utf8")).bundle.generation === 2;
  await eventually("the bundle on disk", isWritten, { everyMs: 1 });
  const [successor, applied] = await Promise.allSettled([world.succeed(), applying]);
  expect(successor.status).toBe("fulfilled");
  expect(applied).toMatchObject({ status: "fulfilled", value: { bundle: { generation: 2 } } });
  expect(await tunnel.ask("/after")).toMatchObject({ status: 403, denied: "gate.policy_denied" });
  expect(urlsOf(api)).toEqual(["/before"]);
}, 60_000);

test("a credential whose value comes after the daemon has handed over is stored nowhere", async () => {
  await using state = await openHolderState();
  const first = await state.start();
  const body = JSON.stringify({
    name: "late",
    bindings: [{ hosts: ["a.test"], header: "a", format: "{value}" }],
    value: VALUE,
  });
  const sent = request({
    socketPath: state.file("daemon.sock"),
    method: "POST",
    path: "/v1/grants",
    headers: { "content-type": "application/json", "content-length": body.length, expect: "100-continue" },
  });
  sent.flushHeaders();
  await once(sent, "continue");
  const predecessor = await handOver(first);
  const answered = once(sent, "response");
  sent.end(body);
  const [answer] = (await answered) as [IncomingMessage];
  expect(answer.statusCode).toBe(503);
  answer.resume();
  expect(await readdir(state.file("credentials"))).toEqual([]);
  const successor = await state.start({ config: { predecessor } });
  expect((await successor.request("GET", "/v1/grants")).body).toEqual([]);
}, 60_000);
