import { systemClock } from "@gatehouse/core";
import { eventually } from "@gatehouse/testbed";
import { expect, test } from "vitest";
import { allowing, type GateUnderTest, openGate, outside, type ProxyClient } from "./gate-under-test.ts";
import { ok, openRawOrigin } from "./raw-origin.ts";

const SWITCHED = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";

/** One connection of each kind that a run can hold. */
async function openOfEachKind(gate: GateUnderTest, host: string, token: string): Promise<readonly ProxyClient[]> {
  const silent = await gate.tunnel(host, { cleartext: true });
  const idle = await gate.tunnel(host);
  const upgraded = await gate.tunnel(host);
  const { status } = await upgraded.ask([
    "GET /ws HTTP/1.1",
    `Host: ${host}`,
    "Connection: Upgrade",
    "Upgrade: websocket",
  ]);
  expect(status).toBe(101);
  const front = await gate.dial();
  await front.ask([`GET http://nowhere.test/ HTTP/1.1`, "Host: nowhere.test", `Proxy-Authorization: Bearer ${token}`]);
  return [silent, idle, upgraded, front];
}

test("tunnels, upgraded connections and absolute-form ones count alike towards what a run may have", async () => {
  await using origin = await openRawOrigin(outside, ({ start }) => (start.includes("/ws") ? SWITCHED : ok("hello")));
  await using gate = await openGate({ config: { maxConnectionsPerRun: 4 } });
  const host = `api.test:${origin.port}`;
  const token = await gate.put({ policy: allowing(host) });
  const held = await openOfEachKind(gate, host, token);
  const before = origin.connections;

  const tunnel = await gate.dial();
  const full = await tunnel.connect(host, token);
  expect(full.status).toBe(503);
  expect(JSON.parse(full.body)).toMatchObject({ code: "gate.overloaded", retry: true });
  const front = await gate.dial();
  const refused = await front.ask([
    `GET http://${host}/ HTTP/1.1`,
    `Host: ${host}`,
    `Proxy-Authorization: Bearer ${token}`,
  ]);
  expect(refused.header("x-gatehouse-denied")).toBe("gate.overloaded");
  for (const client of [tunnel, front]) await eventually("the end of what was too much", () => client.isClosed);
  expect(origin.connections).toBe(before);

  // Those that were there go on, and room that is given back is room.
  expect((await held[1]?.ask(["GET / HTTP/1.1", `Host: ${host}`]))?.body).toBe("hello");
  for (const client of held) {
    client.stream.socket.destroy();
    await eventually("room for another", async () => {
      const next = await gate.dial();
      const { status } = await next.connect(host, token);
      if (status !== 200) return undefined;
      next.stream.socket.destroy();
      return true;
    });
  }
});

test("the bound of one run is not another's", async () => {
  await using gate = await openGate({ config: { maxConnectionsPerRun: 1 } });
  const token = await gate.put({ policy: allowing("api.test:443") });
  await gate.tunnel("api.test:443", { cleartext: true });
  const { hashToken } = await import("../../src/worker/identify-run.ts");
  const { parseRunId } = await import("@gatehouse/core");
  const other = "ab".repeat(32);
  await gate.put({ runId: parseRunId("run-2"), tokenHash: hashToken(other), policy: allowing("api.test:443") });
  const client = await gate.dial();
  expect((await client.connect("api.test:443", other)).status).toBe(200);
  expect((await (await gate.dial()).connect("api.test:443", token)).status).toBe(503);
});

test("over the worker's own bound a connection is closed unread", async () => {
  await using gate = await openGate({ config: { maxConnections: 2 } });
  const clients = [await gate.dial(), await gate.dial()];
  const third = await gate.dial();
  await eventually("the end of the third", () => third.isClosed);
  clients[0]?.stream.socket.destroy();
  await eventually("room for another", async () => {
    const next = await gate.dial();
    const answered = await next.connect("api.test:443", undefined).catch(() => undefined);
    return answered?.status === 407;
  });
});

test("heads that are not whole have so much room, of which one place gets no more than it leaves", async () => {
  await using origin = await openRawOrigin(outside, () => ok("hello"));
  await using gate = await openGate({ config: { maxHeadBytes: 40_000 } });
  const host = `api.test:${origin.port}`;
  await gate.put({ policy: allowing(host) });
  const tunnel = await gate.tunnel(host);
  const begin = async () => {
    const client = await gate.dial();
    client.send(`GET http://${host}/ HTTP/1.1\r\nX-Long: ${"a".repeat(9_000)}`);
    return client;
  };
  const clients = [await begin(), await begin(), await begin()];
  const refused = await eventually("the end of what was too much", () => clients.find(({ isClosed }) => isClosed));
  expect((await refused.receive()).header("x-gatehouse-denied")).toBe("gate.overloaded");
  const held = clients.filter((client) => client !== refused);
  await eventually("the record", () => gate.records.some(({ code }) => code === "gate.overloaded"));

  // A run's tunnel has a share of its own.
  tunnel.send(`GET / HTTP/1.1\r\nX-Long: ${"a".repeat(9_000)}`);
  await eventually("the first part", () => tunnel.stream.socket.writableLength === 0);
  tunnel.send(`\r\nHost: ${host}\r\n\r\n`);
  expect((await tunnel.receive()).body).toBe("hello");

  // A head that becomes whole leaves its room, and so does a client that goes.
  held[0]?.send(`\r\nHost: ${host}\r\n\r\n`);
  expect((await held[0]?.receive())?.status).toBe(407);
  held[1]?.stream.socket.destroy();
  await eventually("room for two others", async () => {
    const [one, other] = [await begin(), await begin()];
    other.send(`\r\nHost: ${host}\r\n\r\n`);
    const { status } = await other.receive();
    for (const client of [one, other]) client.stream.socket.destroy();
    return status === 407;
  });
});

test("a head or a handshake that comes a byte at a time ends thirty seconds after its first byte, and others are served meanwhile", async () => {
  await using origin = await openRawOrigin(outside, () => ok("hello"));
  let aheadMs = 0;
  const clock = { ...systemClock, monotonicMs: () => systemClock.monotonicMs() + aheadMs };
  await using gate = await openGate({ deps: { clock }, config: { idleTimeoutMs: 3_600_000 } });
  const host = `api.test:${origin.port}`;
  await gate.put({ policy: allowing(host) });
  const other = await gate.tunnel(host);
  const front = await gate.dial();
  const inside = await gate.tunnel(host, { cleartext: true });
  const handshake = await gate.tunnel(host, { cleartext: true });
  const drips = [front, inside, handshake];
  const drip = () => {
    for (const client of [front, inside]) client.send("G");
    handshake.send(Buffer.from([0x16]));
  };
  drip();
  for (let second = 0; second < 31; second += 10) {
    expect(drips.map(({ isClosed }) => isClosed)).toEqual([false, false, false]);
    expect((await other.ask(["GET / HTTP/1.1", `Host: ${host}`])).body).toBe("hello");
    aheadMs += 10_000;
    drip();
  }
  for (const client of drips) await eventually("the end of what drips", () => client.isClosed);
  expect((await other.ask(["GET / HTTP/1.1", `Host: ${host}`])).body).toBe("hello");
  expect(origin.requests.every(({ start }) => start.startsWith("GET / "))).toBe(true);
});
