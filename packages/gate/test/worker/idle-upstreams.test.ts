import { parseRunId, systemClock } from "@gatehouse/core";
import { eventually } from "@gatehouse/testbed";
import { expect, test } from "vitest";
import { hashToken } from "../../src/worker/identify-run.ts";
import type { ByteStream } from "./byte-stream.ts";
import { allowing, type GateUnderTest, injection, openGate, outside, type ProxyClient } from "./gate-under-test.ts";
import { ok, openRawOrigin } from "./raw-origin.ts";

/** Sends a GET in a tunnel of its own. */
async function begin(gate: GateUnderTest, host: string, token?: string): Promise<ProxyClient> {
  const client = await gate.tunnel(host, token === undefined ? {} : { token });
  client.send(`GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
  return client;
}

/** Lets the service answer, and the client leave once it has the answer. */
async function finish(gate: GateUnderTest, client: ProxyClient, service: ByteStream): Promise<void> {
  const before = gate.records.length;
  await service.readUntil("\r\n\r\n");
  service.write(ok("hello"));
  expect((await client.receive()).body).toBe("hello");
  await leave(client);
  await eventually("the record", () => gate.records.length > before);
}

async function leave(client: ProxyClient): Promise<void> {
  client.stream.socket.destroy();
  await eventually("the close", () => client.isClosed);
}

test("a tunnel takes the connection that an earlier one of its run left", async () => {
  await using origin = await openRawOrigin(outside, () => ok("hello"));
  await using gate = await openGate();
  const host = `api.test:${origin.port}`;
  await gate.put({ policy: allowing(host) });
  for (let count = 0; count < 5; count += 1) {
    const client = await begin(gate, host);
    expect((await client.receive()).body).toBe("hello");
    await leave(client);
    await eventually("the record", () => gate.records.length > count);
  }
  expect(origin.connections).toBe(1);
});

test("another run, another host and another port get connections of their own", async () => {
  await using origin = await openRawOrigin(outside, () => ok("hello"));
  await using elsewhere = await openRawOrigin(outside, () => ok("hello"));
  await using gate = await openGate();
  const hosts = [`api.test:${origin.port}`, `other.test:${origin.port}`, `api.test:${elsewhere.port}`] as const;
  const policy = allowing(...hosts);
  await gate.put({ policy });
  const other = "cd".repeat(32);
  await gate.put({ runId: parseRunId("run-2"), tokenHash: hashToken(other), policy });
  const ask = async (host: string, token?: string) => {
    const client = await begin(gate, host, token);
    expect((await client.receive()).status).toBe(200);
    await leave(client);
  };
  await ask(hosts[0]);
  await ask(hosts[1]);
  await ask(hosts[2]);
  await ask(hosts[0], other);
  expect([origin.connections, elsewhere.connections]).toEqual([3, 1]);
});

test.each([
  [
    "with another credential",
    async (gate: GateUnderTest, host: string) => {
      await gate.put({ policy: allowing(host), injections: [injection(host, "Bearer new")] });
    },
  ],
  ["that has ended", async (gate: GateUnderTest) => gate.drop("run-1")],
])("what was left by a run %s is closed", async (_, change) => {
  await using origin = await openRawOrigin(outside);
  await using gate = await openGate();
  const host = `api.test:${origin.port}`;
  const run = { policy: allowing(host), injections: [injection(host, "Bearer old")] };
  await gate.put(run);
  const client = await begin(gate, host);
  const service = await origin.accept();
  await finish(gate, client, service);
  expect(service.isClosed).toBe(false);
  await change(gate, host);
  await eventually("the end of the connection", () => service.isClosed);
  await gate.put(run);
  const again = await begin(gate, host);
  await finish(gate, again, await origin.accept());
});

test("a client that leaves in the middle of an answer leaves no connection behind", async () => {
  await using origin = await openRawOrigin(outside);
  await using gate = await openGate();
  const host = `api.test:${origin.port}`;
  await gate.put({ policy: allowing(host) });
  const client = await begin(gate, host);
  const service = await origin.accept();
  await service.readUntil("\r\n\r\n");
  service.write("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
  await client.stream.readUntil("half");
  await leave(client);
  await eventually("the end of the connection", () => service.isClosed);
});

test("a service that says something unasked, or ends, is not asked again on that connection", async () => {
  await using origin = await openRawOrigin(outside);
  await using gate = await openGate();
  const host = `api.test:${origin.port}`;
  await gate.put({ policy: allowing(host) });
  for (const spoil of [
    (service: ByteStream) => service.write("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"),
    (service: ByteStream) => service.socket.end(),
  ]) {
    const client = await begin(gate, host);
    const service = await origin.accept();
    await finish(gate, client, service);
    spoil(service);
    await eventually("the end of the connection", () => service.isClosed);
  }
  const last = await begin(gate, host);
  await finish(gate, last, await origin.accept());
});

test("a request that could not be sent once more opens a connection of its own", async () => {
  await using origin = await openRawOrigin(outside, () => ok("hello"));
  await using gate = await openGate();
  const host = `api.test:${origin.port}`;
  await gate.put({ policy: allowing(host) });
  const ask = async (lines: readonly string[], body = "") => {
    const client = await gate.tunnel(host);
    expect((await client.ask([...lines, `Host: ${host}`], body)).status).toBe(200);
    await leave(client);
  };
  await ask(["GET / HTTP/1.1"]);
  await ask(["POST / HTTP/1.1", "Content-Length: 2"], "ab");
  expect(origin.connections).toBe(2);
  await ask(["GET / HTTP/1.1"]);
  expect(origin.connections).toBe(2);
});

test("a request is sent once more at most, however many connections were left", async () => {
  await using origin = await openRawOrigin(outside);
  await using gate = await openGate();
  const host = `api.test:${origin.port}`;
  await gate.put({ policy: allowing(host) });
  const clients: ProxyClient[] = [];
  const left: ByteStream[] = [];
  for (let count = 0; count < 4; count += 1) {
    clients.push(await begin(gate, host));
    left.push(await origin.accept());
  }
  for (const [index, client] of clients.entries()) await finish(gate, client, left[index] as ByteStream);
  let unanswered = 0;
  for (const service of left) {
    service.socket.on("data", () => {
      unanswered += 1;
      service.socket.destroy();
    });
  }
  const last = await gate.tunnel(host);
  last.send(`DELETE / HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
  await finish(gate, last, await origin.accept());
  expect(unanswered).toBe(1);
});

test("a connection that nobody asks for in ten seconds is closed", async () => {
  let offsetMs = 0;
  const clock = { now: () => systemClock.now(), monotonicMs: () => systemClock.monotonicMs() + offsetMs };
  await using origin = await openRawOrigin(outside);
  await using gate = await openGate({ deps: { clock } });
  const host = `api.test:${origin.port}`;
  await gate.put({ policy: allowing(host) });
  const client = await begin(gate, host);
  const service = await origin.accept();
  await finish(gate, client, service);
  offsetMs = 9_000;
  expect(service.isClosed).toBe(false);
  offsetMs = 13_000;
  await eventually("the end of the connection", () => service.isClosed);
});
