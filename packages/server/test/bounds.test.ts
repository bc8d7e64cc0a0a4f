import { connect } from "node:tls";
import { systemClock, systemRandom } from "@gatehouse/core";
import { createCa, createLog } from "@gatehouse/kit";
import { eventually } from "@gatehouse/testbed";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { keepLeaf, leafMint } from "../src/keep-leaf.ts";
import { AdmissionQueue } from "../src/limits/admission-queue.ts";
import { FailureBudget } from "../src/limits/failure-budget.ts";
import { HeldBytes, holdByPeer } from "../src/limits/held-bytes.ts";
import { networkOf } from "../src/limits/network-of.ts";
import { openNodeBudgets } from "../src/limits/node-budget.ts";
import { StreamPlaces } from "../src/limits/stream-places.ts";
import { openListener } from "../src/rpc/open-listener.ts";
import { DATABASES, type TestDatabase } from "./databases.ts";
import { FleetUnderTest, makePair } from "./fleet-under-test.ts";

const MIB = 1_048_576;

describe("the failure budget", () => {
  test("fifty failures at once are borne, then ten a second; other addresses do not notice", () => {
    let now = 0;
    const budget = new FailureBudget({ burst: 50, forgiveEveryMs: 100 }, { monotonicMs: () => now });
    for (let at = 0; at < 50; at += 1) {
      budget.check("192.0.2.1");
      budget.spend("192.0.2.1");
    }
    expect(() => budget.check("192.0.2.1")).toThrow(
      expect.objectContaining({ code: "auth.slow_down", retryAfterMs: 100 }),
    );
    expect(() => budget.check("192.0.2.2")).not.toThrow();
    now += 100;
    budget.check("192.0.2.1");
    budget.spend("192.0.2.1");
    expect(() => budget.check("192.0.2.1")).toThrow();
    now += 60_000;
    for (let at = 0; at < 50; at += 1) budget.spend("192.0.2.1");
    expect(() => budget.check("192.0.2.1")).toThrow();
  });

  test("what succeeded is given back; whoever failed longest ago is forgotten first", () => {
    const budget = new FailureBudget({ burst: 1, forgiveEveryMs: 1_000 }, { monotonicMs: () => 0 });
    budget.spend("a");
    budget.forgive("a");
    expect(() => budget.check("a")).not.toThrow();
    for (let who = 0; who <= 65_536; who += 1) budget.spend(String(who));
    expect(() => budget.check("0")).not.toThrow();
    expect(() => budget.check("65536")).toThrow("Too many attempts");
  });
});

describe("the budget of a node", () => {
  const node = { orgId: "org", nodeId: "n1" };
  const open = () => {
    const seen = { now: 0, lines: 0, counted: 0 };
    const budgets = openNodeBudgets({
      clock: { monotonicMs: () => seen.now },
      log: {
        warn: () => {
          seen.lines += 1;
        },
      },
      counters: {
        countOverBudget: () => {
          seen.counted += 1;
        },
      },
    });
    return { budgets, seen };
  };
  const busy = (retryAfterMs: number) => expect.objectContaining({ code: "server.busy", retryAfterMs });

  test("is sixty sessions at once, then one a second; what is over it is in the log once, and no other node's", () => {
    const { budgets, seen } = open();
    for (let at = 0; at < 60; at += 1) {
      budgets.sessions.check(node);
      budgets.sessions.spend(node);
    }
    for (let at = 0; at < 3; at += 1) expect(() => budgets.sessions.check(node)).toThrow(busy(1_000));
    expect(seen).toMatchObject({ lines: 1, counted: 3 });
    expect(() => budgets.sessions.check({ orgId: "org", nodeId: "n2" })).not.toThrow();
    seen.now += 1_000;
    budgets.sessions.check(node);
    budgets.sessions.spend(node);
    expect(() => budgets.sessions.check(node)).toThrow(busy(1_000));
    expect(seen.lines).toBe(1);
    seen.now += 60_000;
    expect(() => budgets.sessions.check(node)).not.toThrow();
  });

  test("holds two full spools of reports, and goes on with what a node has to say", () => {
    const { budgets, seen } = open();
    for (let sent = 0; sent < 64 * MIB; sent += 3 * MIB) {
      budgets.reports.check(node);
      budgets.reports.spend(node, 3 * MIB);
    }
    budgets.reports.spend(node, 64 * MIB);
    expect(() => budgets.reports.check(node)).toThrow(expect.objectContaining({ code: "server.busy" }));
    seen.now += 100_000;
    expect(() => budgets.reports.check(node)).not.toThrow();
  });
});

test.each([
  ["2001:db8:1:2::1", "2001:db8:1:2:ffff::9", true],
  ["2001:db8:1:2::1", "2001:db8:1:3::1", false],
  ["::1", "::2", true],
  ["::ffff:192.0.2.1", "::ffff:192.0.2.2", false],
])("%s and %s are one network: %s", (a, b, isOne) => {
  expect(networkOf(a) === networkOf(b)).toBe(isOne);
});

test("with too many bytes held, cuts who holds most, over however many connections, until they have let go of them", () => {
  const bytes = new HeldBytes(100);
  const cut: string[] = [];
  const begin = (holder: string, name: string) => bytes.begin(holder, { destroy: () => cut.push(name) });
  const held = [begin("greedy", "first"), begin("greedy", "second"), begin("greedy", "third")];
  const other = begin("modest", "large");
  for (const [at, one] of held.entries()) one.set(at === 1 ? 21 : 20);
  other.set(39);
  expect(cut).toEqual([]);
  other.set(40);
  expect(cut).toEqual(["second"]);
  for (const one of held) one.release();
  held[0]?.set(1_000);
  expect(bytes.total).toBe(40);
  other.set(0);
  expect([bytes.total, cut]).toEqual([0, ["second"]]);
});

test("what a call takes counts among strangers' until its peer is known: they cut nobody who is", () => {
  const pools = { unknown: new HeldBytes(100), known: new HeldBytes(1_000) };
  const cut: string[] = [];
  const known = new Set<string>();
  const hold = (name: string) =>
    holdByPeer({ destroy: () => cut.push(name) }, () => ({ isKnown: known.has(name), name }), pools);
  const [node, stranger, other] = [hold("node"), hold("stranger"), hold("other")];
  node.set(10);
  expect([pools.unknown.total, pools.known.total]).toEqual([10, 0]);
  known.add("node");
  node.set(90);
  expect([pools.unknown.total, pools.known.total]).toEqual([0, 90]);
  stranger.set(60);
  other.set(50);
  expect(cut).toEqual(["stranger"]);
  for (const one of [node, stranger, other]) one.release();
  known.add("stranger");
  for (const one of [node, stranger, other]) one.set(1_000);
  expect([pools.unknown.total, pools.known.total]).toEqual([0, 0]);
});

test("a network takes its own places of streams, not those of others; a place that is left is free again", () => {
  const places = new StreamPlaces({ total: 3, ofNetwork: 2 });
  const leave = [places.take("a"), places.take("a")];
  expect(() => places.take("a")).toThrow(expect.objectContaining({ code: "server.busy" }));
  places.take("b");
  expect(() => places.take("c")).toThrow(expect.objectContaining({ code: "server.busy", retryAfterMs: 5_000 }));
  leave[0]?.();
  expect(() => places.take("a")).not.toThrow();
});

test("what finishes something is admitted ahead of what begins; a full queue refuses", async () => {
  const queue = new AdmissionQueue({ running: 1, waiting: 3 });
  const order: string[] = [];
  const gate = Promise.withResolvers<void>();
  const call = (name: string, isFirst: boolean) =>
    queue.run(isFirst, async () => {
      order.push(name);
      await gate.promise;
    });
  const calls = [call("begin 1", false), call("begin 2", false), call("begin 3", false), call("complete", true)];
  expect([queue.running, queue.waiting]).toEqual([1, 3]);
  await expect(call("complete 2", true)).rejects.toMatchObject({ code: "server.busy" });
  gate.resolve();
  await Promise.all(calls);
  expect(order).toEqual(["begin 1", "complete", "begin 2", "begin 3"]);
  expect([queue.running, queue.waiting]).toEqual([0, 0]);
});

test("the port's certificate is renewed before it ends, over the same key", async () => {
  const log = createLog({ level: "error", format: "json", write: () => undefined });
  const ca = await createCa({ commonName: "test", days: 1, pathLength: 0 });
  const ttlMs = 3_000;
  const mint = leafMint({ ca, name: "127.0.0.1", ttlMs });
  await using listener = await openListener({ host: "127.0.0.1", port: 0, ...(await mint()) });
  const seen = async () => {
    const socket = connect({
      host: "127.0.0.1",
      port: listener.port,
      rejectUnauthorized: false,
      ALPNProtocols: ["h2"],
    });
    await new Promise((resolve) => socket.once("secureConnect", resolve));
    const leaf = socket.getPeerX509Certificate();
    socket.destroy();
    return { serial: leaf?.serialNumber, key: leaf?.publicKey.export({ format: "pem", type: "spki" }) };
  };
  const first = await seen();
  const abort = new AbortController();
  const keeping = keepLeaf({ mint, listener, ttlMs, log }, abort.signal);
  const next = await eventually("another certificate", async () => {
    const now = await seen();
    return now.serial !== first.serial && now;
  });
  expect(next.key).toBe(first.key);
  abort.abort();
  await expect(keeping).rejects.toThrow();
});

describe("a server", () => {
  let database: TestDatabase;
  let fleet: FleetUnderTest;

  beforeAll(async () => {
    database = await DATABASES[0].open();
    fleet = await FleetUnderTest.open(database.location);
  });

  afterAll(async () => {
    await fleet[Symbol.asyncDispose]();
    await database[Symbol.asyncDispose]();
  });

  test("who guesses API keys is slowed down, and told for how long; calls of known callers go on", async () => {
    const org = await fleet.createOrg("acme");
    const guess = () =>
      fleet.gateway
        .beginAuthHandshake({
          apiKey: `ghn_00000000_${"A".repeat(43)}`,
          identityPublicKey: makePair("ed25519").publicKey,
          clientNonce: systemRandom.bytes(32),
        })
        .catch((failure: { metadata: Headers }) => failure.metadata);
    const answers = (await Promise.all(Array.from({ length: 120 }, guess))) as Headers[];
    const refused = answers.filter((metadata) => metadata.get("gatehouse-problem") === "auth.slow_down");
    expect(refused.length).toBeGreaterThan(30);
    expect(Number(refused[0]?.get("retry-after"))).toBeGreaterThan(0);
    expect((await org.nodes.listNodes({}, org.headers)).nodes).toEqual([]);
  });

  /** What comes back for text that was sent as HTTP/1, until the server hangs up. */
  function speak(text: string): Promise<string> {
    const { hostname, port } = new URL(fleet.server.url);
    return new Promise<string>((resolve) => {
      const socket = connect({
        host: hostname,
        port: Number(port),
        rejectUnauthorized: false,
        ALPNProtocols: ["http/1.1"],
      });
      let said = "";
      socket.on("data", (chunk: Buffer) => {
        said += chunk.toString();
      });
      socket.once("secureConnect", () => socket.write(text));
      socket.on("error", () => undefined);
      socket.once("close", () => resolve(said));
    });
  }

  const register = "/gatehouse.gateway.v1.NodeGatewayService/Register";
  test.each([
    ["a path that makes no URL", "GET // HTTP/1.1\r\nHost: x", 404],
    ["a host that makes no URL", `POST ${register} HTTP/1.1\r\nHost: [\r\nContent-Length: 0`, 400],
    ["no host", `POST ${register} HTTP/1.0\r\nContent-Length: 0`, 400],
  ])("a request with %s is refused; others are served", async (_, head, status) => {
    expect(await speak(`${head}\r\nConnection: close\r\n\r\n`)).toMatch(`HTTP/1.1 ${status} `);
    expect(await speak("GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")).toContain("200");
  });

  test("a head that is too long or never ends is cut off; others are served", async () => {
    const long = await speak(`GET /livez HTTP/1.1\r\nHost: x\r\nX: ${"y".repeat(20_000)}\r\n\r\n`);
    expect(long).toMatch(/^(HTTP\/1\.1 431|$)/);
    const startedAt = systemClock.monotonicMs();
    const slow = await speak("GET /livez HTTP/1.1\r\nHost: x\r\nX: ");
    expect(slow).toMatch(/^(HTTP\/1\.1 408|$)/);
    expect(systemClock.monotonicMs() - startedAt).toBeLessThan(18_000);
    const well = await speak("GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    expect(well).toContain("200");
  }, 40_000);
});
