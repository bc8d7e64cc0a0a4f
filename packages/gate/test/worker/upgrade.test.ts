import { eventually } from "@gatehouse/testbed";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { ByteStream } from "./byte-stream.ts";
import { allowing, type GateUnderTest, injection, openGate, outside, type ProxyClient } from "./gate-under-test.ts";
import { openRawOrigin, type RawOrigin } from "./raw-origin.ts";

let gate: GateUnderTest;
let origin: RawOrigin;
let host: string;

beforeAll(async () => {
  origin = await openRawOrigin(outside);
  gate = await openGate();
  host = `api.test:${origin.port}`;
  await gate.put({ policy: allowing(host) });
});
afterAll(async () => {
  await gate[Symbol.asyncDispose]();
  await origin[Symbol.asyncDispose]();
});

/** A tunnel whose first request has arrived at the service, unanswered. */
async function openExchange(
  start: string,
  fields: readonly string[] = [],
  body: string = "",
): Promise<{ readonly client: ProxyClient; readonly service: ByteStream; readonly head: string }> {
  const client = await gate.tunnel(host);
  client.send([start, `Host: ${host}`, ...fields, "", body].join("\r\n"));
  const service = await origin.accept();
  return { client, service, head: await service.readUntil("\r\n\r\n") };
}

test("a WebSocket is relayed both ways after 101, whatever came early", async () => {
  const { client, service, head } = await openExchange("GET /ws HTTP/1.1", [
    "Connection: keep-alive, Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Key: x",
  ]);
  expect(head.toLowerCase()).toContain("\r\nconnection: upgrade\r\nupgrade: websocket\r\n");
  service.write("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nearly");
  const answer = await client.receive({ hasBody: false });
  expect(answer).toMatchObject({ status: 101 });
  expect(answer.header("upgrade")).toBe("websocket");
  expect((await client.stream.readBytes(5)).toString()).toBe("early");
  client.send(Buffer.from([0x81, 0x00, 0xff]));
  expect(await service.readBytes(3)).toEqual(Buffer.from([0x81, 0x00, 0xff]));
  service.write("more");
  expect((await client.stream.readBytes(4)).toString()).toBe("more");
  service.socket.end();
  await eventually("the end", () => client.isClosed);
  await eventually("the record", () => gate.records.filter(({ url }) => url.endsWith("/ws")).length > 0);
  expect(gate.records.filter(({ url }) => url.endsWith("/ws"))).toMatchObject([{ status: 101, decision: "allowed" }]);
});

test("a relay on a granted host gives no real value away", async () => {
  await using granted = await openGate();
  await granted.put({
    policy: allowing(host),
    injections: [injection(host, "Bearer real-secret-value")],
    scrub: [{ value: "real-secret-value", overwrite: "gh-placeholder-00" }],
  });
  const client = await granted.tunnel(host);
  client.send(`GET /ws HTTP/1.1\r\nHost: ${host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n`);
  const service = await origin.accept();
  await service.readUntil("\r\n\r\n");
  service.write("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
  await client.receive({ hasBody: false });
  // Two records, one behind the other: the value is split between them.
  service.write("you sent real-");
  service.write("secret-value, thanks ");
  expect((await client.stream.readBytes(35)).toString()).toBe("you sent gh-placeholder-00, thanks ");
  // What could be the beginning of a value does not wait for more than a moment.
  service.write("real-secret-v");
  expect((await client.stream.readBytes(13)).toString()).toBe("real-secret-v");
  client.stream.socket.destroy();
});

test("a client that leaves a relay takes the service's side with it", async () => {
  const { client, service } = await openExchange("GET /left HTTP/1.1", ["Connection: Upgrade", "Upgrade: websocket"]);
  service.write("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
  expect((await client.receive({ hasBody: false })).status).toBe(101);
  client.stream.socket.destroy();
  await eventually("the end of the service's side", () => service.isClosed);
  await eventually("the record", () => gate.records.some(({ url }) => url.endsWith("/left")));
  expect(gate.records.filter(({ url }) => url.endsWith("/left")).map(({ status }) => status)).toEqual([101]);
});

test("a service that declines an upgrade answers like any other", async () => {
  const { client, service } = await openExchange("GET / HTTP/1.1", ["Connection: Upgrade", "Upgrade: websocket"]);
  service.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno");
  expect((await client.receive()).body).toBe("no");
  client.send(`GET /next HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
  expect(await service.readUntil("\r\n\r\n")).toContain("GET /next");
});
