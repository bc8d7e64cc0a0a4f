import { eventually, stretchedLimit } from "@gatehouse/testbed";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { ByteStream } from "./byte-stream.ts";
import { allowing, type GateUnderTest, injection, openGate, outside, type ProxyClient } from "./gate-under-test.ts";
import { openRawOrigin, type RawOrigin } from "./raw-origin.ts";

const SECRET = "sk-live-0123456789abcdef";
const STAND_IN = "gh-placeholder-012345678";

let gate: GateUnderTest;
let origin: RawOrigin;
let granted: string;
let plain: string;

beforeAll(async () => {
  origin = await openRawOrigin(outside);
  gate = await openGate();
  granted = `api.test:${origin.port}`;
  plain = `other.test:${origin.port}`;
});
afterAll(async () => {
  await gate[Symbol.asyncDispose]();
  await origin[Symbol.asyncDispose]();
});

/** A request on a connection of its own: the run is new each time. */
async function openExchange(host: string): Promise<{ readonly client: ProxyClient; readonly service: ByteStream }> {
  await gate.put({
    policy: allowing(granted, plain),
    injections: [injection(granted, `Bearer ${SECRET}`)],
    scrub: [{ value: SECRET, overwrite: STAND_IN }],
  });
  const client = await gate.tunnel(host);
  client.send(`GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
  const service = await origin.accept();
  await service.readUntil("\r\n\r\n");
  return { client, service };
}

test("a head is scrubbed on every host, interim ones and trailers too", async () => {
  for (const host of [granted, plain]) {
    const { client, service } = await openExchange(host);
    service.write(`HTTP/1.1 103 Early Hints\r\nX-Echo: ${SECRET}\r\n\r\n`);
    expect((await client.receive()).header("x-echo")).toBe(STAND_IN);
    service.write(
      `HTTP/1.1 200 ${SECRET}\r\nX-Echo: a${SECRET}b\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-Sum: ${SECRET}\r\n\r\n`,
    );
    const answer = await client.receive();
    expect(answer.start).toBe(`HTTP/1.1 200 ${STAND_IN}`);
    expect(answer.header("x-echo")).toBe(`a${STAND_IN}b`);
    expect(answer.trailers).toBe(`X-Sum: ${STAND_IN}\r\n`);
  }
});

test("a body of a granted host is scrubbed at the same length, wherever it is split", async () => {
  const text = `{"token": "${SECRET}", "twice": "${SECRET}${SECRET}"} `;
  const clean = text.replaceAll(SECRET, STAND_IN);
  for (const cut of [1, 12, 13, 20, 34, 35, 50, 70, text.length - 1]) {
    const { client, service } = await openExchange(granted);
    service.write(
      `HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: ${text.length}\r\n\r\n${text.slice(0, cut)}`,
    );
    await client.stream.readUntil("\r\n\r\n");
    service.write(text.slice(cut));
    expect((await client.stream.readBytes(text.length)).toString()).toBe(clean);
    client.stream.socket.destroy();
  }
});

test("ten thousand chunks of one byte cost no more than one of ten thousand, however long the value is", async () => {
  await using own = await openGate();
  const value = `${"ab".repeat(4_000)}c`;
  await own.put({
    policy: allowing(granted),
    injections: [injection(granted, `Bearer ${value}`)],
    scrub: [{ value, overwrite: "*".repeat(value.length) }],
  });
  const text = "%25".repeat(10_000);
  const client = await own.tunnel(granted);
  client.send(`GET / HTTP/1.1\r\nHost: ${granted}\r\n\r\n`);
  const service = await origin.accept();
  await service.readUntil("\r\n\r\n");
  const chunks = [...text].map((byte) => `1\r\n${byte}\r\n`).join("");
  const startedMs = performance.now();
  service.write(`HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${chunks}0\r\n\r\n`);
  expect((await client.receive()).body).toBe(text);
  const tookMs = performance.now() - startedMs;
  expect(tookMs).toBeLessThan(await stretchedLimit(1_500));
});

test("a chunked body whose chunks split the value is scrubbed", async () => {
  const { client, service } = await openExchange(granted);
  service.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
  for (const piece of [SECRET.slice(0, 3), SECRET.slice(3, 10), SECRET.slice(10), " end"]) {
    service.write(`${piece.length.toString(16)}\r\n${piece}\r\n`);
  }
  service.write("0\r\n\r\n");
  expect((await client.receive()).body).toBe(`${STAND_IN} end`);
});

test("an event stream passes event by event", async () => {
  const { client, service } = await openExchange(granted);
  service.write("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n");
  await client.stream.readUntil("\r\n\r\n");
  for (const event of ["data: one\n\n", `data: ${SECRET}\n\n`, "data: three\n\n"]) {
    service.write(event);
    await client.stream.readUntil(event.replace(SECRET, STAND_IN));
  }
});

test("a host without a grant keeps its bodies as they are", async () => {
  const { client, service } = await openExchange(plain);
  service.write(`HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: ${SECRET.length}\r\n\r\n${SECRET}`);
  expect(await client.receive()).toMatchObject({ status: 200, body: SECRET });
});

test("no record holds the real value, a header's value or a query's", async () => {
  const client = await gate.tunnel(granted);
  client.send(`GET /records?q=private&r=1 HTTP/1.1\r\nHost: ${granted}\r\nX-Note: private\r\n\r\n`);
  const service = await origin.accept();
  await service.readUntil("\r\n\r\n");
  service.write(`HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok`);
  await client.receive();
  const record = await eventually("the record", () => gate.records.find(({ url }) => url.includes("/records")));
  expect(record).toEqual({
    time: expect.any(Number),
    run: "run-1",
    agent: "agent",
    project: "project",
    method: "GET",
    url: `https://${granted}/records?q&r`,
    host: "api.test",
    port: origin.port,
    status: 200,
    duration_ms: expect.any(Number),
    bytes_in: 0,
    bytes_out: 2,
    grants: ["api"],
    decision: "allowed",
    code: undefined,
    rule: "rules[0]",
  });
  expect(JSON.stringify(gate.records)).not.toContain(SECRET);
  expect(JSON.stringify(gate.records)).not.toContain("private");
});
