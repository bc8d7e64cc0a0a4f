import { systemClock } from "@gatehouse/core";
import { eventually } from "@gatehouse/testbed";
import { expect, test } from "vitest";
import { allowing, injection, openGate, outside } from "./gate-under-test.ts";
import { ok, openRawOrigin } from "./raw-origin.ts";

test("a run that ends has its tunnels cut: idle, silent and in the middle of an answer", async () => {
  await using origin = await openRawOrigin(outside);
  await using gate = await openGate();
  const host = `api.test:${origin.port}`;
  await gate.put({ policy: allowing(host) });
  const silent = await gate.tunnel(host, { cleartext: true });
  const idle = await gate.tunnel(host);
  const busy = await gate.tunnel(host);
  busy.send(`GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
  const upstream = await origin.accept();
  await upstream.readUntil("\r\n\r\n");
  upstream.write("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\npart");
  await busy.stream.readUntil("part");
  await gate.drop("run-1");
  for (const client of [silent, idle, busy]) await eventually("the cut", () => client.isClosed);
  await eventually("the end of the upstream", () => upstream.isClosed);
  await eventually("the record", () => gate.records.length === 1);
});

test("a run that ends while its request waits for a connection leaves nothing behind", async () => {
  await using origin = await openRawOrigin(undefined);
  await using gate = await openGate();
  const host = `api.test:${origin.port}`;
  await gate.put({ policy: allowing(host) });
  const client = await gate.tunnel(host);
  // The origin speaks no TLS: the handshake waits.
  client.send(`GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
  const upstream = await origin.accept();
  await gate.drop("run-1");
  await eventually("the cut", () => client.isClosed);
  await eventually("the end of the upstream", () => upstream.isClosed);
});

test("each request of an open tunnel sees the run as it is now", async () => {
  await using origin = await openRawOrigin(outside, () => ok("hello"));
  await using gate = await openGate();
  const host = `api.test:${origin.port}`;
  const policy = allowing(host);
  await gate.put({ policy, injections: [injection(host, "Bearer first")] });
  const client = await gate.tunnel(host);
  const ask = () => client.ask(["GET / HTTP/1.1", `Host: ${host}`]);
  await ask();
  await gate.put({ policy, injections: [injection(host, "Bearer second")] });
  await ask();
  await gate.put({ policy });
  await ask();
  await gate.put({ policy: { mode: "strict" } });
  const denied = await ask();
  expect(denied.header("x-gatehouse-denied")).toBe("gate.policy_denied");
  await gate.put({ policy });
  expect((await ask()).status).toBe(200);
  expect(origin.requests.map((request) => request.header("authorization"))).toEqual([
    "Bearer first",
    "Bearer second",
    undefined,
    undefined,
  ]);
});

test("a run under the same id and another token does not inherit tunnels", async () => {
  await using origin = await openRawOrigin(outside, () => ok("hello"));
  await using gate = await openGate();
  const host = `api.test:${origin.port}`;
  await gate.put({ policy: allowing(host) });
  const client = await gate.tunnel(host);
  await gate.drop("run-1");
  await gate.put({ policy: allowing(host) });
  await eventually("the cut", () => client.isClosed);
  expect(origin.requests).toHaveLength(0);
});

test("draining ends idle connections at once and lets an exchange finish", async () => {
  await using origin = await openRawOrigin(outside);
  await using gate = await openGate();
  const host = `api.test:${origin.port}`;
  await gate.put({ policy: allowing(host) });
  const idle = await gate.tunnel(host);
  idle.send(`GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
  (await origin.accept()).write(ok("first"));
  await idle.receive();
  const busy = await gate.tunnel(host);
  busy.send(`GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
  const upstream = await origin.accept();
  await upstream.readUntil("\r\n\r\n");
  const drained = gate.worker.handle("drain", { deadlineMs: 10_000, keepsIdle: false });
  await eventually("the end of the idle one", () => idle.isClosed);
  upstream.write(ok("late"));
  expect((await busy.receive()).body).toBe("late");
  await eventually("the end of the busy one", () => busy.isClosed);
  const startedMs = performance.now();
  for (const client of [idle, busy]) client.stream.socket.destroy();
  await drained;
  expect(performance.now() - startedMs).toBeLessThan(5_000);
  await expect(gate.dial().then((client) => client.connect(host, undefined))).rejects.toThrow();
});

test("draining lets a client that has just come ask once, and does not wait for one that says nothing", async () => {
  await using origin = await openRawOrigin(undefined, () => ok("hello"));
  await using gate = await openGate();
  const host = `api.test:${origin.port}`;
  const token = await gate.put({ policy: allowing(host) });
  const silent = await gate.tunnel(host, { cleartext: true });
  const client = await gate.dial();
  const drained = gate.worker.handle("drain", { deadlineMs: 10_000, keepsIdle: false });
  await client.connect(host, token);
  expect((await client.ask(["GET / HTTP/1.1", `Host: ${host}`])).body).toBe("hello");
  await eventually("the end of the one that was answered", () => client.isClosed);
  await eventually("the end of the silent one", () => silent.isClosed);
  await drained;
});

test("draining gives up at its deadline, and not before", async () => {
  let movedMs = 0;
  const clock = { now: () => systemClock.now(), monotonicMs: () => systemClock.monotonicMs() + movedMs };
  await using origin = await openRawOrigin(outside);
  await using gate = await openGate({
    deps: { clock },
    config: { idleTimeoutMs: 3_600_000, upstreamTimeoutMs: 3_600_000 },
  });
  const host = `api.test:${origin.port}`;
  await gate.put({ policy: allowing(host) });
  const [idle, busy] = [await gate.tunnel(host), await gate.tunnel(host)];
  busy.send(`GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
  const upstream = await origin.accept();
  await upstream.readUntil("\r\n\r\n");
  let isDrained = false;
  const drained = gate.worker.handle("drain", { deadlineMs: 600_000, keepsIdle: true }).then(() => {
    isDrained = true;
  });
  movedMs += 599_000;
  upstream.write(ok("late"));
  expect((await busy.receive()).body).toBe("late");
  expect([isDrained, idle.isClosed, busy.isClosed]).toEqual([false, false, false]);
  movedMs += 1_001;
  await drained;
  await gate.worker[Symbol.asyncDispose]();
  for (const one of [idle, busy]) await eventually("the cut", () => one.isClosed);
});
