import { createServer as createPlainServer } from "node:net";
import { createServer } from "node:tls";
import { parseRunId, systemClock } from "@gatehouse/core";
import { createTestAuthority, eventually, listenOnLoopback, type TestAuthority } from "@gatehouse/testbed";
import { expect, test } from "vitest";
import { hashToken } from "../../src/worker/identify-run.ts";
import { allowing, injection, openGate, outside } from "./gate-under-test.ts";
import { ok, openRawOrigin } from "./raw-origin.ts";

/** Time that a test can move. */
function movableClock() {
  let offsetMs = 0;
  return {
    now: () => systemClock.now(),
    monotonicMs: () => systemClock.monotonicMs() + offsetMs,
    advance: (ms: number) => {
      offsetMs += ms;
    },
  };
}

test("a service whose certificate is unknown or another's is not trusted with anything", async () => {
  const stranger: TestAuthority = await createTestAuthority();
  await using unknown = await openRawOrigin(stranger, () => ok("hello"));
  // Shows everybody the leaf of 127.0.0.1.
  const { key, cert } = outside.serverOptions;
  let decrypted = 0;
  const server = createServer({ key, cert }, (socket) => {
    decrypted += 1;
    socket.on("error", () => undefined);
  });
  server.on("tlsClientError", () => undefined);
  await using misnamed = await listenOnLoopback(server);
  await using gate = await openGate();
  for (const { port } of [unknown, misnamed]) {
    const host = `api.test:${port}`;
    await gate.put({ policy: allowing(host), injections: [injection(host, "Bearer real")] });
    const client = await gate.tunnel(host);
    const answer = await client.ask(["GET / HTTP/1.1", `Host: ${host}`]);
    expect(answer.status).toBe(502);
    expect(JSON.parse(answer.body)).toMatchObject({ code: "gate.upstream_untrusted", retry: false });
  }
  expect(unknown.requests).toHaveLength(0);
  expect(unknown.connections + misnamed.connections).toBe(2);
  expect(decrypted).toBeLessThanOrEqual(1);
});

test("a service that speaks no TLS is said to, and reads nothing of the request", async () => {
  let read = "";
  const server = createPlainServer((socket) => {
    socket.on("data", (data) => {
      read += data.toString("latin1");
      socket.end("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
    });
    socket.on("error", () => undefined);
  });
  await using plain = await listenOnLoopback(server);
  await using gate = await openGate();
  const host = `api.test:${plain.port}`;
  await gate.put({ policy: allowing(host), injections: [injection(host, "Bearer real")] });
  const client = await gate.tunnel(host);
  const answer = await client.ask(["GET /secret-path HTTP/1.1", `Host: ${host}`]);
  expect(answer.status).toBe(502);
  expect(JSON.parse(answer.body)).toMatchObject({
    code: "gate.upstream_protocol",
    detail: `${host} does not speak TLS.`,
  });
  expect(read).not.toMatch(/real|secret-path/);
});

test("TLS below 1.2 is not spoken to a service", async () => {
  const server = createServer({
    ...outside.serverOptions,
    minVersion: "TLSv1",
    maxVersion: "TLSv1.1",
    ciphers: "ALL@SECLEVEL=0",
  });
  server.on("tlsClientError", () => undefined);
  await using old = await listenOnLoopback(server);
  await using gate = await openGate();
  const host = `api.test:${old.port}`;
  await gate.put({ policy: allowing(host) });
  const client = await gate.tunnel(host);
  expect((await client.ask(["GET / HTTP/1.1", `Host: ${host}`])).status).toBe(502);
});

test("a service that is not there, or does not speak in time, is a problem with a reason", async () => {
  const gone = await openRawOrigin(undefined);
  await gone[Symbol.asyncDispose]();
  await using mute = await openRawOrigin(undefined);
  await using gate = await openGate({ config: { connectTimeoutMs: 300 } });
  const hosts = [`api.test:${gone.port}`, `api.test:${mute.port}`];
  await gate.put({ policy: allowing(...hosts) });
  const codes: string[] = [];
  for (const host of hosts) {
    const client = await gate.tunnel(host);
    const answer = await client.ask(["GET / HTTP/1.1", `Host: ${host}`]);
    codes.push(`${answer.status} ${answer.header("x-gatehouse-denied")} ${JSON.parse(answer.body).retry}`);
  }
  expect(codes).toEqual(["502 gate.upstream_unreachable true", "504 gate.upstream_timeout true"]);
});

test("a service that never answers is given up after its time, and the tunnel goes on", async () => {
  const clock = movableClock();
  await using origin = await openRawOrigin(outside);
  await using gate = await openGate({ deps: { clock } });
  const host = `api.test:${origin.port}`;
  await gate.put({ policy: allowing(host) });
  const client = await gate.tunnel(host);
  client.send(`GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
  const service = await origin.accept();
  await service.readUntil("\r\n\r\n");
  clock.advance(11_000);
  const answer = await client.receive();
  expect(answer.status).toBe(504);
  expect(answer.header("x-gatehouse-denied")).toBe("gate.upstream_timeout");
  await eventually("the end of the upstream", () => service.isClosed);
  client.send(`GET /again HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
  const next = await origin.accept();
  await next.readUntil("/again");
});

test("a head that dribbles, a silent tunnel and an idle one are closed in their time", async () => {
  const clock = movableClock();
  await using origin = await openRawOrigin(outside, () => ok("hello"));
  await using gate = await openGate({ deps: { clock } });
  const host = `api.test:${origin.port}`;
  await gate.put({ policy: allowing(host) });
  const idle = await gate.tunnel(host);
  await idle.ask(["GET / HTTP/1.1", `Host: ${host}`]);
  const dribbling = await gate.tunnel(host);
  dribbling.send("GET / HT");
  const silent = await gate.tunnel(host, { cleartext: true });
  const speechless = await gate.dial();
  dribbling.stream.socket.write("TP");
  await eventually("a first sweep", () => gate.records.length === 1);
  clock.advance(31_000);
  for (const client of [dribbling, silent, speechless]) await eventually("the close", () => client.isClosed);
  expect(idle.isClosed).toBe(false);
  clock.advance(60_000);
  await eventually("the close", () => idle.isClosed);
});

test("the upstream half of an idle tunnel is given back, and opened again on demand", async () => {
  const clock = movableClock();
  await using origin = await openRawOrigin(outside);
  await using gate = await openGate({ deps: { clock } });
  const host = `api.test:${origin.port}`;
  await gate.put({ policy: allowing(host) });
  const client = await gate.tunnel(host);
  client.send(`GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
  const service = await origin.accept();
  await service.readUntil("\r\n\r\n");
  service.write(ok("one"));
  expect((await client.receive()).body).toBe("one");
  clock.advance(11_000);
  await eventually("the end of the upstream", () => service.isClosed);
  expect(client.isClosed).toBe(false);
  client.send(`GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
  const next = await origin.accept();
  await next.readUntil("\r\n\r\n");
  next.write(ok("two"));
  expect((await client.receive()).body).toBe("two");
});

test("a kept connection that the service closed is replaced once for a request without a body", async () => {
  await using origin = await openRawOrigin(outside);
  await using gate = await openGate();
  const host = `api.test:${origin.port}`;
  await gate.put({ policy: allowing(host) });
  const client = await gate.tunnel(host);
  const first = `GET /1 HTTP/1.1\r\nHost: ${host}\r\n\r\n`;
  client.send(first);
  const service = await origin.accept();
  await service.readUntil("\r\n\r\n");
  service.write(ok("one"));
  await client.receive();
  // The service closes as the next request, and one more behind it, are on their way.
  client.send(`GET /2 HTTP/1.1\r\nHost: ${host}\r\n\r\nGET /3 HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
  await service.readUntil("\r\n\r\n");
  service.socket.destroy();
  const next = await origin.accept();
  expect(await next.readUntil("\r\n\r\n")).toContain("GET /2");
  next.write(ok("two"));
  expect((await client.receive()).body).toBe("two");
  expect(await next.readUntil("\r\n\r\n")).toContain("GET /3");
  next.write(ok("three"));
  expect((await client.receive()).body).toBe("three");
});

test.each([
  ["a POST", ["POST / HTTP/1.1", "Content-Length: 0"]],
  ["a body", ["PUT / HTTP/1.1", "Content-Length: 2"]],
])("a request with %s is not sent twice", async (_, [start = "", length = ""]) => {
  await using origin = await openRawOrigin(outside);
  await using gate = await openGate();
  const host = `api.test:${origin.port}`;
  await gate.put({ policy: allowing(host) });
  const client = await gate.tunnel(host);
  client.send(`GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
  const service = await origin.accept();
  await service.readUntil("\r\n\r\n");
  service.write(ok("one"));
  await client.receive();
  client.send(`${start}\r\nHost: ${host}\r\n${length}\r\n\r\n${length.endsWith("2") ? "ab" : ""}`);
  await service.readUntil("\r\n\r\n");
  service.socket.destroy();
  const answer = await client.receive();
  expect(answer.header("x-gatehouse-denied")).toBe("gate.upstream_unreachable");
  expect(origin.connections).toBe(1);
});

test("a connection that dies before its first answer is not tried again", async () => {
  await using origin = await openRawOrigin(outside);
  await using gate = await openGate();
  const host = `api.test:${origin.port}`;
  await gate.put({ policy: allowing(host) });
  const client = await gate.tunnel(host);
  client.send(`GET / HTTP/1.1\r\nHost: ${host}\r\n\r\nGET /behind HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
  const service = await origin.accept();
  await service.readUntil("\r\n\r\n");
  service.socket.destroy();
  expect((await client.receive()).status).toBe(502);
  const next = await origin.accept();
  expect(await next.readUntil("\r\n\r\n")).toContain("/behind");
});

test("one tunnel keeps one connection, which no tunnel beside it shares", async () => {
  await using origin = await openRawOrigin(outside, () => ok("hello"));
  await using gate = await openGate();
  const host = `api.test:${origin.port}`;
  await gate.put({ policy: allowing(host) });
  const first = await gate.tunnel(host);
  for (let count = 0; count < 5; count += 1) await first.ask(["GET / HTTP/1.1", `Host: ${host}`]);
  expect(origin.connections).toBe(1);
  const second = await gate.tunnel(host);
  await second.ask(["GET / HTTP/1.1", `Host: ${host}`]);
  expect(origin.connections).toBe(2);
});

test("two runs on one client connection do not share an upstream", async () => {
  await using origin = await openRawOrigin(undefined, () => ok("hello"));
  await using gate = await openGate();
  const host = `api.test:${origin.port}`;
  const other = "cd".repeat(32);
  const token = await gate.put({ policy: allowing(host) });
  await gate.put({ runId: parseRunId("run-2"), tokenHash: hashToken(other), policy: allowing(host) });
  const client = await gate.dial();
  const connections = [];
  for (const one of [token, token, other, token, other]) {
    await client.ask([`GET http://${host}/ HTTP/1.1`, `Host: ${host}`, `Proxy-Authorization: Bearer ${one}`]);
    connections.push(origin.connections);
  }
  expect(connections).toEqual([1, 1, 2, 2, 2]);
  await eventually("the records", () => gate.records.length === 5);
  expect(gate.records.map(({ run }) => run)).toEqual(["run-1", "run-1", "run-2", "run-1", "run-2"]);
});

test("a second address of a name is tried when the first does not answer", async () => {
  const server = createPlainServer((socket) => {
    socket.on("error", () => undefined);
    socket.once("data", () => socket.end(ok("from the second")));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.2", resolve));
  const address = server.address();
  const host = `localhost:${typeof address === "object" ? address?.port : 0}`;
  await using gate = await openGate({ deps: { lookUp: async () => ["127.0.0.1", "127.0.0.2"] } });
  await gate.put({ policy: { mode: "strict", rules: [{ action: "allow", hosts: [host] }] } });
  const client = await gate.tunnel(host, { cleartext: true });
  expect((await client.ask(["GET / HTTP/1.1", `Host: ${host}`])).body).toBe("from the second");
  await new Promise((resolve) => server.close(resolve));
});

/** A resolver whose `*.slow.test` are silent until the test has them answer; the others are on loopback. */
function halfSilentResolver() {
  const silent = new Map<string, PromiseWithResolvers<readonly string[]>>();
  return {
    silent,
    lookUp: (name: string) => {
      if (!name.endsWith(".slow.test")) return Promise.resolve(["127.0.0.1"]);
      const answer = Promise.withResolvers<readonly string[]>();
      silent.set(name, answer);
      return answer.promise;
    },
  };
}

test("a run whose names never answer leaves lookups for the others, and gets its own in turn", async () => {
  await using origin = await openRawOrigin(undefined, () => ok("hello"));
  const resolver = halfSilentResolver();
  await using gate = await openGate({ deps: { lookUp: resolver.lookUp } });
  const policy = allowing(`*.slow.test:${origin.port}`, `quick.test:${origin.port}`);
  const token = await gate.put({ policy });
  const second = "2".repeat(64);
  await gate.put({ runId: parseRunId("run-2"), tokenHash: hashToken(second), policy });
  const ask = async (run: string, name: string) => {
    const client = await gate.dial();
    const place = `${name}:${origin.port}`;
    client.send(`GET http://${place}/ HTTP/1.1\r\nHost: ${place}\r\nProxy-Authorization: Bearer ${run}\r\n\r\n`);
    return { name, client };
  };
  const asked = [];
  for (let index = 0; index < 6; index += 1) asked.push(await ask(token, `n${index}.slow.test`));
  await eventually("lookups", () => resolver.silent.size === 4);
  const other = await ask(second, "quick.test");
  expect((await other.client.receive()).body).toBe("hello");
  expect(resolver.silent.size).toBe(4);

  // Who leaves is not looked up, and each answer lets the next one in.
  const [first] = asked.filter(({ name }) => resolver.silent.has(name));
  const [leaver, next] = asked.filter(({ name }) => !resolver.silent.has(name));
  leaver?.client.stream.socket.destroy();
  await eventually("the record of the one that left", () => gate.records.some(({ status }) => status === 499));
  resolver.silent.get(first?.name ?? "")?.resolve(["127.0.0.1"]);
  expect((await first?.client.receive())?.body).toBe("hello");
  await eventually("the next lookup", () => resolver.silent.size === 5);
  expect([...resolver.silent.keys()].at(-1)).toBe(next?.name);
});
