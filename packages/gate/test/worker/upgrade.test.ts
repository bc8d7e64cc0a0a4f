import type { Socket } from "node:net";
import { eventually } from "@gatehouse/testbed";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
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

describe("a WebSocket of a granted host", () => {
  let granted: GateUnderTest;
  const VALUE = "real-secret-value";
  const STAND_IN = "gh-placeholder-00";

  beforeAll(async () => {
    granted = await openGate();
    await granted.put({
      policy: allowing(host),
      injections: [injection(host, `Bearer ${VALUE}`)],
      scrub: [{ value: VALUE, overwrite: STAND_IN }],
    });
  });
  afterAll(() => granted[Symbol.asyncDispose]());

  async function open(path: string): Promise<{ readonly client: ProxyClient; readonly service: ByteStream }> {
    const client = await granted.tunnel(host);
    client.send(`GET ${path} HTTP/1.1\r\nHost: ${host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n`);
    const service = await origin.accept();
    await service.readUntil("\r\n\r\n");
    service.write("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
    await client.receive({ hasBody: false });
    return { client, service };
  }

  test("gives no real value away, and holds no message up that is whole", async () => {
    const { client, service } = await open("/whole");
    service.write(textFrame(`you sent ${VALUE}`));
    expect(await client.stream.readBytes(28)).toEqual(textFrame(`you sent ${STAND_IN}`));
    service.write(textFrame("real-secret-v"));
    expect(await client.stream.readBytes(15)).toEqual(textFrame("real-secret-v"));
    client.stream.socket.destroy();
  });

  test("gives none away to a client that waits with reading until half of it has come", {
    timeout: 40_000,
  }, async () => {
    const { client, service } = await open("/slow");
    // Wherever the gate stops reading, it has the first half of a value, and not the second.
    const piece = Buffer.from(VALUE.slice(9) + " ".repeat(16_384 - VALUE.length) + VALUE.slice(0, 9));
    const frame = textFrame(Buffer.alloc(600 * piece.length, piece));
    client.stream.socket.pause();
    service.write(frame.subarray(0, 10));
    for (let at = 10; at < frame.length; at += piece.length) service.write(frame.subarray(at, at + piece.length));
    await eventually("the end of what the gate takes", settled(service.socket));
    const got: Buffer[] = [];
    let missing = frame.length;
    const socket = client.stream.release();
    socket.on("data", (data: Buffer) => {
      got.push(data);
      missing -= data.length;
    });
    socket.resume();
    await eventually("the rest of the message", () => missing === 0, { timeoutMs: 20_000 });
    expect(Buffer.concat(got).includes(VALUE)).toBe(false);
    client.stream.socket.destroy();
  });

  test("is cut where its messages cannot be searched, which is on record", async () => {
    for (const [name, first, second] of [
      ["compressed", 0xc1, 0x05],
      ["masked", 0x81, 0x85],
      ["unknown", 0x83, 0x05],
    ] as const) {
      const { client, service } = await open(`/${name}`);
      service.write(Buffer.concat([Buffer.from([first, second]), Buffer.from("hello")]));
      expect(await client.stream.readToEnd(), name).toHaveLength(0);
      await eventually("the end of the service's side", () => service.isClosed);
      const records = await eventually("the records", () => {
        const own = granted.records.filter(({ url }) => url.endsWith(name));
        return own.length === 2 ? own : undefined;
      });
      expect(records.map(({ status, code }) => [status, code])).toEqual([
        [101, undefined],
        [101, "gate.upstream_protocol"],
      ]);
    }
  });

  test("is the only protocol that is switched to there", async () => {
    const client = await granted.tunnel(host);
    client.send(`GET / HTTP/1.1\r\nHost: ${host}\r\nConnection: Upgrade\r\nUpgrade: spdy/3.1\r\n\r\n`);
    const service = await origin.accept();
    expect((await service.readUntil("\r\n\r\n")).toLowerCase()).not.toContain("spdy");
    service.write("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: spdy/3.1\r\n\r\n");
    expect((await client.receive()).header("x-gatehouse-denied")).toBe("gate.upstream_protocol");
  });
});

/** A message in one frame, as services send it. */
function textFrame(text: string | Buffer): Buffer {
  const bytes = Buffer.from(text);
  if (bytes.length < 126) return Buffer.concat([Buffer.from([0x81, bytes.length]), bytes]);
  const header = Buffer.from([0x81, 127, 0, 0, 0, 0, 0, 0, 0, 0]);
  header.writeBigUInt64BE(BigInt(bytes.length), 2);
  return Buffer.concat([header, bytes]);
}

/** Whether nothing more is taken of what was written to a socket: for twenty times as often as it is asked. */
function settled(socket: Socket): () => boolean {
  let left = -1;
  let times = 0;
  return () => {
    times = socket.writableLength === left ? times + 1 : 0;
    left = socket.writableLength;
    return times === 20;
  };
}

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
