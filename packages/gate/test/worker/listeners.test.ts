import { fork } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseRunId } from "@gatehouse/core";
import { childEnvironment, createCa, mintServerLeaf, native, openIpcPeer, socketDescriptor } from "@gatehouse/kit";
import { eventually, stretchedLimit } from "@gatehouse/testbed";
import { expect, test } from "vitest";
import type { HolderCalls, HolderNotes, RequestRecord, WorkerCalls } from "../../src/snapshot/worker-protocol.ts";
import { ByteStream, readMessage } from "./byte-stream.ts";
import { allowing, openGate, outside, ProxyClient, readLines, snapshot } from "./gate-under-test.ts";
import { ok, openRawOrigin } from "./raw-origin.ts";

const KEEPER = "0011223344556677";

/** A keeper's socket and the listener of its sandbox, whose descriptor it hands out, once `isReady` resolves. */
async function openKeeper(folder: string, isReady: Promise<void> = Promise.resolve()) {
  const sandbox = createServer({ pauseOnConnect: true });
  await new Promise<void>((resolve) => sandbox.listen(0, "127.0.0.1", resolve));
  const address = sandbox.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  const keeper = createServer((asker) => {
    asker.once("data", async () => {
      await isReady;
      native.sendDescriptor(socketDescriptor(asker) ?? -1, socketDescriptor(sandbox) ?? -1);
      asker.end();
    });
  });
  await new Promise<void>((resolve) => keeper.listen(join(folder, `${KEEPER}.sock`), resolve));
  return {
    port,
    /** The keeper itself accepts nothing; in this process its own copy has to be closed for that. */
    stopAccepting: () => new Promise((resolve) => sandbox.close(resolve)),
    [Symbol.asyncDispose]: async () => {
      sandbox.close();
      await new Promise((resolve) => keeper.close(resolve));
    },
  };
}

test.runIf(native.available)("a sandbox's listener serves its own run alone", async () => {
  const folder = await mkdtemp(join(tmpdir(), "gate-"));
  await using origin = await openRawOrigin(outside, () => ok("hello"));
  await using keeper = await openKeeper(folder);
  await using gate = await openGate({ config: { keepersDir: folder } });
  const host = `api.test:${origin.port}`;
  const runId = parseRunId("run-1");
  const token = await gate.put({ policy: allowing(host), place: { kind: "sandbox", keeper: KEEPER } });
  await gate.worker.handle("serveListener", { runId, keeper: KEEPER });
  await gate.worker.handle("serveListener", { runId, keeper: KEEPER });
  await keeper.stopAccepting();
  const dial = () => new ProxyClient(new ByteStream(connect({ port: keeper.port, host: "127.0.0.1" })));
  const client = dial();
  expect((await client.connect(host, token)).status).toBe(200);
  await client.startTls("api.test");
  expect((await client.ask(["GET / HTTP/1.1", `Host: ${host}`])).body).toBe("hello");
  // Another run's listener, though the token is a good one.
  await gate.put({ runId: parseRunId("run-2"), policy: allowing(host) });
  expect((await dial().connect(host, token)).header("x-gatehouse-denied")).toBe("gate.run_elsewhere");
  await gate.drop("run-1");
  await eventually("the cut", () => client.isClosed);
  const late = dial();
  await eventually("nobody listens", () => late.isClosed);
  await rm(folder, { recursive: true });
});

test.runIf(native.available)(
  "whoever fills the shared port from outside takes no connection from a sandbox",
  async () => {
    const folder = await mkdtemp(join(tmpdir(), "gate-"));
    await using origin = await openRawOrigin(outside, () => ok("hello"));
    await using keeper = await openKeeper(folder);
    await using gate = await openGate({ config: { keepersDir: folder, maxConnections: 8 } });
    const host = `api.test:${origin.port}`;
    const token = await gate.put({ policy: allowing(host), place: { kind: "sandbox", keeper: KEEPER } });
    await gate.worker.handle("serveListener", { runId: parseRunId("run-1"), keeper: KEEPER });
    await keeper.stopAccepting();
    const strangers: ProxyClient[] = [];
    for (let count = 0; count < 8; count += 1) strangers.push(await gate.dial());
    await eventually("those that are too many", () => strangers.filter(({ isClosed }) => isClosed).length === 2);
    for (let count = 0; count < 2; count += 1) {
      const client = new ProxyClient(new ByteStream(connect({ port: keeper.port, host: "127.0.0.1" })));
      expect((await client.connect(host, token)).status).toBe(200);
    }
    await rm(folder, { recursive: true });
  },
);

test.runIf(native.available)("a listener that comes when its run has ended is not accepted on", async () => {
  const folder = await mkdtemp(join(tmpdir(), "gate-"));
  const { promise: isReady, resolve: answer } = Promise.withResolvers<void>();
  await using keeper = await openKeeper(folder, isReady);
  await using gate = await openGate({ config: { keepersDir: folder } });
  const runId = parseRunId("run-1");
  await gate.put({ place: { kind: "sandbox", keeper: KEEPER } });
  const serving = gate.worker.handle("serveListener", { runId, keeper: KEEPER });
  await gate.drop("run-1");
  answer();
  await serving;
  await keeper.stopAccepting();
  const late = new ProxyClient(new ByteStream(connect({ port: keeper.port, host: "127.0.0.1" })));
  await eventually("nobody listens", () => late.isClosed);
  await rm(folder, { recursive: true });
});

test("a keeper that is not there is an error, and a later try may succeed", async () => {
  const folder = await mkdtemp(join(tmpdir(), "gate-"));
  await using gate = await openGate({ config: { keepersDir: folder } });
  const runId = parseRunId("run-1");
  await gate.put({ place: { kind: "sandbox", keeper: KEEPER } });
  await expect(gate.worker.handle("serveListener", { runId, keeper: KEEPER })).rejects.toThrow();
  if (native.available) {
    await using _ = await openKeeper(folder);
    await gate.worker.handle("serveListener", { runId, keeper: KEEPER });
  }
  await rm(folder, { recursive: true });
});

test("two workers share a port", async () => {
  await using first = await openGate();
  await using second = await openGate({ config: { port: first.port } });
  expect(second.port).toBe(first.port);
});

/** Starts a worker as the key-holder does: a process of its own, spoken to over its channel alone. */
async function forkWorker(hostsPort: number) {
  const ca = await createCa({ commonName: "Gatehouse interception", days: 2, pathLength: 0 });
  const child = fork(new URL("../../src/worker/main.ts", import.meta.url), {
    serialization: "advanced",
    env: childEnvironment(),
    stdio: ["ignore", "inherit", "inherit", "ipc"],
  });
  const records: RequestRecord[] = [];
  const peer = openIpcPeer<HolderCalls, WorkerCalls, HolderNotes>(child, {
    mintLeaf: async ({ name, publicKey }) => ({
      certificatePem: await mintServerLeaf({ ca, name, publicKey, ttlMs: 86_400_000 }),
      notAfter: Date.now() + 86_400_000,
      ticketKeys: Buffer.alloc(48),
      ticketsUntil: Date.now() + 86_400_000,
    }),
    records: (lines) => void records.push(...readLines(lines)),
    audit: () => null,
    totals: () => undefined,
  });
  const host = `api.test:${hostsPort}`;
  const { port } = await peer.call("start", {
    generation: 1,
    inherits: [],
    runs: [snapshot({ policy: allowing(host) })],
    freshUntilSeconds: 0,
    audit: { node: "node-1", isTaken: true },
    config: {
      port: 0,
      listen: [],
      keepersDir: "/nonexistent",
      hosts: { "api.test": "127.0.0.1" },
      upstreamCaPem: outside.certificatePem,
      caCertificatePem: ca.certificatePem,
      connectTimeoutMs: 5_000,
      upstreamTimeoutMs: 5_000,
      idleTimeoutMs: 60_000,
      maxConnections: 100,
      maxConnectionsPerRun: 50,
      maxRecodingBytes: 10_000_000,
      maxHeadBytes: 1_048_576,
      ownAddresses: [],
    },
  });
  return { child, peer, records, port, host };
}

test("a worker process serves what it was told, and ends within a second when its parent goes", async () => {
  await using origin = await openRawOrigin(undefined, () => ok("hello"));
  const { child, peer, records, port, host } = await forkWorker(origin.port);
  const exited = new Promise<number | null>((resolve) => child.once("exit", resolve));
  const token = await tokenOfTests();
  const client = new ProxyClient(new ByteStream(connect({ port, host: "127.0.0.1" })));
  expect((await client.connect(host, token)).status).toBe(200);
  client.send(`GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
  expect((await readMessage(client.stream)).body).toBe("hello");
  await eventually("the record", () => records.length === 1);
  await peer.call("putRun", { generation: 2, run: snapshot({ policy: { mode: "strict" } }) });
  expect((await client.ask(["GET / HTTP/1.1", `Host: ${host}`])).status).toBe(403);
  const goneMs = performance.now();
  child.disconnect();
  await exited;
  const tookMs = performance.now() - goneMs;
  expect(tookMs).toBeLessThan(await stretchedLimit(1_000));
  await eventually("the cut", () => client.isClosed);
});

/** The token that `snapshot` is made for. */
async function tokenOfTests(): Promise<string> {
  await using gate = await openGate();
  return await gate.put();
}

test("a worker answers what comes before its start with an error", async () => {
  const child = fork(new URL("../../src/worker/main.ts", import.meta.url), {
    serialization: "advanced",
    env: childEnvironment(),
    stdio: ["ignore", "inherit", "inherit", "ipc"],
  });
  const peer = openIpcPeer<HolderCalls, WorkerCalls, HolderNotes>(child, {
    mintLeaf: () => Promise.reject(new Error("not asked")),
    records: () => undefined,
    audit: () => null,
    totals: () => undefined,
  });
  await expect(peer.call("dropRun", { generation: 1, runId: parseRunId("x") })).rejects.toThrow();
  const exited = new Promise((resolve) => child.once("exit", resolve));
  child.disconnect();
  await exited;
});

test("many bare connections to the shared listener leave it serving", async () => {
  await using origin = await openRawOrigin(undefined, () => ok("hello"));
  await using gate = await openGate();
  const sockets = Array.from({ length: 500 }, () => connect({ port: gate.port, host: "127.0.0.1" }));
  await Promise.all(sockets.map((socket) => new Promise((resolve) => socket.once("connect", resolve))));
  for (const socket of sockets) socket.resetAndDestroy();
  const host = `api.test:${origin.port}`;
  await gate.put({ policy: allowing(host) });
  const client = await gate.tunnel(host, { cleartext: true });
  expect((await client.ask(["GET / HTTP/1.1", `Host: ${host}`])).status).toBe(200);
});
