import { eventually } from "@gatehouse/testbed";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { ByteStream } from "./byte-stream.ts";
import { allowing, type GateUnderTest, openGate, outside, type ProxyClient } from "./gate-under-test.ts";
import { openRawOrigin, type RawOrigin } from "./raw-origin.ts";

let gate: GateUnderTest;
let origin: RawOrigin;
let host: string;

beforeAll(async () => {
  origin = await openRawOrigin(outside);
  gate = await openGate();
  host = `api.test:${origin.port}`;
});
afterAll(async () => {
  await gate[Symbol.asyncDispose]();
  await origin[Symbol.asyncDispose]();
});

/** A tunnel whose first request has arrived at the service, unanswered, on a connection of its own: the run is new. */
async function openExchange(
  start: string = "GET / HTTP/1.1",
  fields: readonly string[] = [],
  body: string = "",
): Promise<{ readonly client: ProxyClient; readonly service: ByteStream; readonly head: string }> {
  await gate.put({ policy: allowing(host) });
  const client = await gate.tunnel(host);
  client.send([start, `Host: ${host}`, ...fields, "", body].join("\r\n"));
  const service = await origin.accept();
  return { client, service, head: await service.readUntil("\r\n\r\n") };
}

test("a body of stated length passes with its length", async () => {
  const { client, service } = await openExchange();
  service.write("HTTP/1.1 200 Fine\r\nContent-Length: 5\r\nX-A: 1\r\nX-A: 2\r\n\r\nhello");
  const answer = await client.receive();
  expect(answer).toMatchObject({ start: "HTTP/1.1 200 Fine", body: "hello" });
  expect(answer.fields).toEqual([
    ["content-length", "5"],
    ["x-a", "1"],
    ["x-a", "2"],
  ]);
});

test("a length that the service calls its connection's own still frames the answer", async () => {
  const { client, service } = await openExchange();
  service.write("HTTP/1.1 200 OK\r\nConnection: content-length, x-hop\r\nContent-Length: 5\r\nX-Hop: 1\r\n\r\nhello");
  const answer = await client.receive();
  expect(answer).toMatchObject({ status: 200, body: "hello" });
  expect(answer.fields).toEqual([["content-length", "5"]]);
  client.send(`GET /again HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
  expect(await service.readUntil("\r\n\r\n")).toContain("GET /again");
});

test("a chunked body passes in chunks, extensions dropped, trailers kept", async () => {
  const { client, service } = await openExchange();
  service.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n3;ext=1\r\nabc\r\n");
  service.write("2\r\nde\r\n0\r\nX-Sum: 7\r\n\r\n");
  expect(await client.receive()).toMatchObject({ status: 200, body: "abcde", trailers: "X-Sum: 7\r\n" });
  client.send(`GET /again HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
  expect(await service.readUntil("\r\n\r\n")).toContain("GET /again");
});

test("a body that ends with the connection is chunked for HTTP/1.1 and closes for HTTP/1.0", async () => {
  const modern = await openExchange();
  modern.service.write("HTTP/1.1 200 OK\r\n\r\nto the end");
  modern.service.socket.end();
  const chunked = await modern.client.receive();
  expect(chunked.header("transfer-encoding")).toBe("chunked");
  expect(chunked.body).toBe("to the end");
  const old = await openExchange("GET / HTTP/1.0");
  old.service.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n");
  const closed = await old.client.receive();
  expect(closed.header("transfer-encoding")).toBeUndefined();
  expect(closed.header("connection")).toBe("close");
  expect(closed.body).toBe("abc");
});

test.each([
  ["HEAD", "200 OK", "Content-Length: 5"],
  ["GET", "204 No Content", "X-A: 1"],
  ["GET", "304 Not Modified", "Content-Length: 5"],
])("the answer to %s with %s has no body, and the connection goes on", async (method, status, fieldLine) => {
  const { client, service } = await openExchange(`${method} / HTTP/1.1`);
  service.write(`HTTP/1.1 ${status}\r\n${fieldLine}\r\n\r\n`);
  const answer = await client.receive({ hasBody: false });
  expect(answer.start).toBe(`HTTP/1.1 ${status}`);
  expect(answer.fields.map(([name, value]) => `${name}: ${value}`)).toEqual([
    fieldLine.replace(/^\S+:/, (name) => name.toLowerCase()),
  ]);
  client.send(`GET /next HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
  expect(await service.readUntil("\r\n\r\n")).toContain("GET /next");
  service.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
  expect((await client.receive()).body).toBe("ok");
});

test("hop-by-hop fields and Alt-Svc of an answer do not pass", async () => {
  const { client, service } = await openExchange();
  const fields = ["Connection: X-Named", "X-Named: 1", "Keep-Alive: timeout=5", 'Alt-Svc: h3=":443"', "X-Kept: 1"];
  service.write(`HTTP/1.1 200 OK\r\nContent-Length: 0\r\n${fields.join("\r\n")}\r\n\r\n`);
  expect((await client.receive()).fields).toEqual([
    ["content-length", "0"],
    ["x-kept", "1"],
  ]);
});

test("interim answers pass in order, and 100 Continue lets the body go", async () => {
  const { client, service, head } = await openExchange("POST / HTTP/1.1", [
    "Content-Length: 5",
    "Expect: 100-continue",
  ]);
  expect(head.toLowerCase()).toContain("expect: 100-continue");
  service.write("HTTP/1.1 100 Continue\r\n\r\n");
  expect((await client.receive()).status).toBe(100);
  client.send("hello");
  expect((await service.readBytes(5)).toString()).toBe("hello");
  service.write("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  const hints = await client.receive();
  expect(hints).toMatchObject({ status: 103 });
  expect(hints.header("link")).toBe("</a>");
  expect((await client.receive()).status).toBe(200);
});

test("an endless row of interim answers is refused", async () => {
  const { client, service } = await openExchange();
  service.write("HTTP/1.1 103 Early Hints\r\n\r\n".repeat(40));
  const interim = [];
  for (let answer = await client.receive(); ; answer = await client.receive()) {
    interim.push(answer.status);
    if (answer.status >= 200) break;
  }
  expect(interim.at(-1)).toBe(502);
  expect(interim.length).toBeLessThan(40);
});

test("pipelined requests are answered in order, refused ones among them", async () => {
  const { client, service } = await openExchange();
  const heads = ["/1", "/2"].map((path) => `GET ${path} HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
  const crossed = "GET /crossed HTTP/1.1\r\nHost: other.test\r\n\r\n";
  client.send(`${heads[0]}${crossed}`);
  client.send(`${heads[1]}`);
  service.write("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n0");
  expect((await client.receive()).body).toBe("0");
  expect(await service.readUntil("\r\n\r\n")).toContain("GET /1");
  expect(service.unread.length).toBe(0);
  service.write("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n1");
  expect((await client.receive()).body).toBe("1");
  expect((await client.receive()).status).toBe(403);
  expect(await service.readUntil("\r\n\r\n")).toContain("GET /2");
  service.write("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n2");
  expect((await client.receive()).body).toBe("2");
});

test("pipelined bytes that come split stay in order", async () => {
  const { client, service } = await openExchange();
  const second = `GET /second HTTP/1.1\r\nHost: ${host}\r\nX-A: ${"a".repeat(200)}\r\n\r\n`;
  client.send(second.slice(0, 60));
  service.write("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  client.send(second.slice(60));
  expect((await client.receive()).status).toBe(200);
  const head = await service.readUntil("\r\n\r\n");
  expect(head).toContain("GET /second");
  expect(head).toContain("a".repeat(200));
});

test("request bodies pass with their own framing", async () => {
  const chunked = await openExchange("POST / HTTP/1.1", ["Transfer-Encoding: chunked"], "3\r\nabc\r\n");
  expect(chunked.head).toContain("Transfer-Encoding: chunked");
  chunked.client.send("1\r\nd\r\n0\r\nX-Sum: 7\r\n\r\n");
  expect(await chunked.service.readUntil("X-Sum: 7\r\n\r\n")).toBe("3\r\nabc\r\n1\r\nd\r\n0\r\nX-Sum: 7\r\n\r\n");
  const sized = await openExchange("PUT / HTTP/1.1", ["Content-Length: 6"], "abc");
  expect(sized.head).toContain("Content-Length: 6");
  sized.client.send("def");
  expect((await sized.service.readBytes(6)).toString()).toBe("abcdef");
  const empty = await openExchange("POST / HTTP/1.1", ["Content-Length: 0"]);
  expect(empty.head).toContain("Content-Length: 0");
});

test("a malformed chunk cuts the upstream off and is told to the client", async () => {
  const { client, service } = await openExchange("POST / HTTP/1.1", ["Transfer-Encoding: chunked"], "3\r\nabc\r\n");
  client.send("zz\r\n");
  expect((await client.receive()).header("x-gatehouse-denied")).toBe("gate.ambiguous_request");
  await eventually("the end of the upstream", () => service.isClosed);
  await eventually("the close", () => client.isClosed);
});

test.each([
  ["both framings", ["Content-Length: 3", "Transfer-Encoding: chunked"]],
  ["two lengths", ["Content-Length: 3", "Content-Length: 4"]],
  ["two hosts", ["Host: other.test"]],
  ["a folded line", ["X-A: 1", " folded"]],
  ["a space before the colon", ["X-A : 1"]],
  ["a bare carriage return", ["X-A: 1\rX-B: 2"]],
])("a request with %s is refused, and nothing is sent on", async (_, fields) => {
  const client = await gate.tunnel(host);
  const before = origin.connections;
  const answer = await client.ask(["POST / HTTP/1.1", `Host: ${host}`, ...fields], "abc");
  expect(answer.status).toBe(400);
  expect(answer.header("x-gatehouse-denied")).toBe("gate.ambiguous_request");
  await eventually("the close", () => client.isClosed);
  expect(origin.connections).toBe(before);
});

test("an early answer passes, then both connections end", async () => {
  const { client, service } = await openExchange("POST / HTTP/1.1", ["Content-Length: 1000000"], "start");
  service.write("HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nbig");
  const answer = await client.receive();
  expect(answer).toMatchObject({ status: 413, body: "big" });
  expect(answer.header("connection")).toBe("close");
  await eventually("the end of the upstream", () => service.isClosed);
  await eventually("the close", () => client.isClosed);
});

test("an answer that begins while the request is still being sent does not stop the request", async () => {
  const { client, service } = await openExchange("POST / HTTP/1.1", ["Content-Length: 10"], "01234");
  service.write("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n");
  await service.readBytes(5);
  service.write("01234");
  client.send("56789");
  expect((await service.readBytes(5)).toString()).toBe("56789");
  service.write("56789");
  expect((await client.receive()).body).toBe("0123456789");
});

test("an answer that is cut short cuts the client, and is recorded as failed", async () => {
  for (const framing of ["Content-Length: 10\r\n\r\nabc", "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"]) {
    const { client, service } = await openExchange("GET /short HTTP/1.1");
    service.write(`HTTP/1.1 200 OK\r\n${framing}`);
    await client.stream.readUntil("abc");
    service.socket.end();
    await eventually("the cut", () => client.isClosed);
  }
  await eventually("the records", () => gate.records.filter(({ url }) => url.endsWith("/short")).length === 2);
  expect(gate.records.filter(({ url }) => url.endsWith("/short"))).toEqual(
    Array(2).fill(expect.objectContaining({ decision: "failed", code: "gate.upstream_protocol", status: 200 })),
  );
});

test.each([
  ["no HTTP", "SSH-2.0-x\r\n\r\n"],
  ["two lengths", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"],
  ["both framings", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\na"],
  ["a switch that nobody asked for", "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"],
])("an answer with %s is a problem, and the tunnel goes on", async (_, bytes) => {
  const { client, service } = await openExchange();
  service.write(bytes);
  const answer = await client.receive();
  expect(answer.status).toBe(502);
  expect(JSON.parse(answer.body)).toMatchObject({ code: "gate.upstream_protocol", retry: false });
  await eventually("the end of the upstream", () => service.isClosed);
  client.send(`GET /after HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
  const next = await origin.accept();
  expect(await next.readUntil("\r\n\r\n")).toContain("GET /after");
});

test("bytes behind an answer are believed to be nobody's", async () => {
  const { client, service } = await openExchange();
  service.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged");
  expect((await client.receive()).body).toBe("ok");
  await eventually("the end of the upstream", () => service.isClosed);
  client.send(`GET /after HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
  const next = await origin.accept();
  await next.readUntil("\r\n\r\n");
  next.write("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ntrue");
  expect((await client.receive()).body).toBe("true");
});

test("bytes that come between two requests close the kept connection", async () => {
  const { client, service } = await openExchange();
  service.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
  expect((await client.receive()).body).toBe("ok");
  service.write("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged");
  await eventually("the end of the upstream", () => service.isClosed);
});

test("a client that leaves takes its request with it", async () => {
  const waiting = await openExchange("GET /left HTTP/1.1");
  waiting.client.stream.socket.destroy();
  await eventually("the end of the upstream", () => waiting.service.isClosed);
  const reading = await openExchange("GET /left HTTP/1.1");
  reading.service.write("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc");
  await reading.client.stream.readUntil("abc");
  reading.client.stream.socket.destroy();
  await eventually("the end of the upstream", () => reading.service.isClosed);
  await eventually("the records", () => gate.records.filter(({ url }) => url.endsWith("/left")).length === 2);
  expect(gate.records.filter(({ url }) => url.endsWith("/left")).map(({ status }) => status)).toEqual([499, 499]);
});
