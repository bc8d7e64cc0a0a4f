import {
  brotliCompressSync,
  brotliDecompressSync,
  constants,
  createGzip,
  gunzipSync,
  gzipSync,
  zstdCompressSync,
  zstdDecompressSync,
} from "node:zlib";
import { parseRunId } from "@gatehouse/core";
import { eventually } from "@gatehouse/testbed";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { RunSnapshot } from "../../src/snapshot/run-snapshot.ts";
import { RECODING_BYTES } from "../../src/worker/coding-window.ts";
import { hashToken } from "../../src/worker/identify-run.ts";
import type { ByteStream, Message } from "./byte-stream.ts";
import { allowing, type GateUnderTest, injection, openGate, outside, type ProxyClient } from "./gate-under-test.ts";
import { openRawOrigin, type RawOrigin } from "./raw-origin.ts";

const SECRET = "sk-live-0123456789abcdef";
const STAND_IN = "gh-placeholder-012345678";
const TEXT = `{"token": "${SECRET}", "items": [${"12345, ".repeat(2_000)}0], "again": "${SECRET}"}\n`;
const CLEAN = TEXT.replaceAll(SECRET, STAND_IN);

const CODINGS = {
  gzip: [gzipSync, gunzipSync],
  "x-gzip": [gzipSync, gunzipSync],
  br: [brotliCompressSync, brotliDecompressSync],
  zstd: [zstdCompressSync, zstdDecompressSync],
} as const;
const NAMES = Object.keys(CODINGS) as readonly (keyof typeof CODINGS)[];

let gate: GateUnderTest;
/** Where eight bodies can be searched at a time, and no window is large. */
let tight: GateUnderTest;
let origin: RawOrigin;
let host: string;
let plain: string;
let granted: Partial<RunSnapshot>;

beforeAll(async () => {
  origin = await openRawOrigin(outside);
  gate = await openGate();
  tight = await openGate({ config: { maxRecodingBytes: 8 * RECODING_BYTES } });
  host = `api.test:${origin.port}`;
  plain = `other.test:${origin.port}`;
  granted = {
    policy: allowing(host, plain),
    injections: [injection(host, `Bearer ${SECRET}`)],
    scrub: [{ value: SECRET, overwrite: STAND_IN }],
  };
});
afterAll(async () => {
  await gate[Symbol.asyncDispose]();
  await tight[Symbol.asyncDispose]();
  await origin[Symbol.asyncDispose]();
});

interface UnderWay {
  readonly client: ProxyClient;
  readonly service: ByteStream;
  /** The request as the service got it. */
  readonly head: string;
}

interface Opening {
  readonly fields?: readonly string[];
  readonly token?: string;
  readonly via?: GateUnderTest;
}

/** A request on a connection of its own: the run is new each time. */
async function begin(start: string, { fields = [], via = gate, ...opening }: Opening = {}): Promise<UnderWay> {
  await via.put(granted);
  const client = await via.tunnel(host, opening);
  client.send([start, `Host: ${host}`, ...fields, "", ""].join("\r\n"));
  const service = await origin.accept();
  return { client, service, head: await service.readUntil("\r\n\r\n") };
}

function answer(coding: string, body: Buffer, fields: readonly string[] = []): Buffer {
  const head = ["HTTP/1.1 200 OK", `Content-Encoding: ${coding}`, `Content-Length: ${body.length}`, ...fields, "", ""];
  return Buffer.concat([Buffer.from(head.join("\r\n")), body]);
}

const bytesOf = ({ body }: Message) => Buffer.from(body, "latin1");
const recordOf = (path: string) =>
  eventually(`the record of ${path}`, () => gate.records.find(({ url }) => url.endsWith(path)));

describe.each(NAMES)("a body in %s", (coding) => {
  const [encode, decode] = CODINGS[coding];

  test("comes back in the same coding, scrubbed, whatever its pieces", async () => {
    const body = encode(TEXT);
    for (const size of [1, 7, 64, body.length]) {
      const { client, service } = await begin("GET / HTTP/1.1");
      service.write(`HTTP/1.1 200 OK\r\nContent-Encoding: ${coding}\r\nContent-Length: ${body.length}\r\n\r\n`);
      for (let at = 0; at < body.length; at += size) service.write(body.subarray(at, at + size));
      const message = await client.receive();
      expect(message.header("content-encoding")).toBe(coding);
      expect(decode(bytesOf(message)).toString()).toBe(CLEAN);
      client.stream.socket.destroy();
    }
  });

  test("passes what was flushed at once", async () => {
    const { client, service } = await begin("GET / HTTP/1.1");
    service.write(`HTTP/1.1 200 OK\r\nContent-Encoding: ${coding}\r\nContent-Type: text/event-stream\r\n\r\n`);
    await client.stream.readUntil("\r\n\r\n");
    service.write(encode("data: one\n\n"));
    // Without an end of the body: the event is there already.
    const size = Number.parseInt(await client.stream.readUntil("\r\n"), 16);
    expect(size).toBeGreaterThan(0);
    client.stream.socket.destroy();
  });

  test("that is cut short, spoiled, or goes on in no coding is cut off, and says why in its record", async () => {
    const body = encode(TEXT);
    const spoiled = Buffer.from(body);
    spoiled.fill(0xff, spoiled.length / 2);
    const wrong = { short: body.subarray(0, -9), spoiled, long: Buffer.concat([body, Buffer.from("more")]) };
    for (const [name, bytes] of Object.entries(wrong)) {
      const path = `/${coding}-${name}`;
      const { client, service } = await begin(`GET ${path} HTTP/1.1`);
      service.write(answer(coding, bytes));
      const all = (await client.stream.readToEnd()).toString("latin1");
      expect(all, path).toContain("200 OK");
      expect(all.endsWith("0\r\n\r\n"), path).toBe(false);
      expect(await recordOf(path)).toMatchObject({ status: 200, code: "gate.upstream_protocol" });
    }
  });

  test("of no bytes stays one", async () => {
    const { client, service } = await begin("GET / HTTP/1.1");
    service.write(`HTTP/1.1 200 OK\r\nContent-Encoding: ${coding}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`);
    expect((await client.receive()).body).toBe("");
  });
});

test("events in gzip pass one by one, each as soon as it came", async () => {
  const { client, service } = await begin("GET / HTTP/1.1");
  service.write("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Type: text/event-stream\r\n\r\n");
  await client.stream.readUntil("\r\n\r\n");
  const encoder = createGzip();
  encoder.on("data", (data: Buffer) => service.write(data));
  const got: Buffer[] = [];
  const soFar = () => gunzipSync(Buffer.concat(got), { finishFlush: constants.Z_SYNC_FLUSH }).toString();
  let expected = "";
  for (const event of ["data: one\n\n", `data: ${SECRET}\n\n`, "data: three\n\n"]) {
    encoder.write(event);
    encoder.flush(constants.Z_SYNC_FLUSH);
    expected += event.replace(SECRET, STAND_IN);
    do {
      const size = Number.parseInt(await client.stream.readUntil("\r\n"), 16);
      got.push((await client.stream.readBytes(size + 2)).subarray(0, size));
    } while (soFar() !== expected);
  }
  encoder.close();
});

test("several members of gzip behind each other are one body", async () => {
  const { client, service } = await begin("GET / HTTP/1.1");
  service.write(answer("gzip", Buffer.concat([gzipSync("one "), gzipSync(`${SECRET} `), gzipSync("three")])));
  expect(gunzipSync(bytesOf(await client.receive())).toString()).toBe(`one ${STAND_IN} three`);
});

test("what speaks of the bytes that the service sent is left out or weakened, whatever the answer has for a body", async () => {
  const fields = [
    'ETag: "abc"',
    "Content-MD5: x",
    "Digest: sha-256=x",
    "Repr-Digest: sha-256=:x:",
    "Content-Digest: sha-256=:x:",
    "Accept-Ranges: bytes",
    "Vary: Accept-Encoding",
  ];
  const whole = await begin("GET / HTTP/1.1");
  whole.service.write(answer("gzip", gzipSync(TEXT), fields));
  const head = await begin("HEAD / HTTP/1.1");
  head.service.write(answer("gzip", gzipSync(TEXT), fields).subarray(0, -gzipSync(TEXT).length));
  const unchanged = await begin("GET / HTTP/1.1", { fields: ['If-None-Match: "abc"'] });
  unchanged.service.write(`HTTP/1.1 304 Not Modified\r\nContent-Encoding: gzip\r\n${fields.join("\r\n")}\r\n\r\n`);
  const answers = [
    await whole.client.receive(),
    await head.client.receive({ hasBody: false }),
    await unchanged.client.receive(),
  ];
  for (const message of answers) {
    const names = message.fields.map(([name]) => name).filter((name) => name !== "transfer-encoding");
    expect(names).toEqual(["content-encoding", "etag", "vary"]);
    expect(message.header("etag")).toBe('W/"abc"');
  }
});

test("trailers pass behind the body, digests apart", async () => {
  const body = gzipSync(TEXT);
  const { client, service } = await begin("GET / HTTP/1.1");
  service.write("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n");
  service.write(Buffer.concat([Buffer.from(`${body.length.toString(16)}\r\n`), body, Buffer.from("\r\n")]));
  service.write(`0\r\nX-Sum: ${SECRET}\r\nRepr-Digest: x\r\n\r\n`);
  const message = await client.receive();
  expect(gunzipSync(bytesOf(message)).toString()).toBe(CLEAN);
  expect(message.trailers).toBe(`X-Sum: ${STAND_IN}\r\n`);
});

test("both connections go on behind an encoded body, for requests that waited too", async () => {
  const { client, service } = await begin("GET /1 HTTP/1.1");
  client.send(`GET /2 HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
  service.write(answer("gzip", gzipSync(TEXT)));
  expect(gunzipSync(bytesOf(await client.receive())).toString()).toBe(CLEAN);
  expect(await service.readUntil("\r\n\r\n")).toContain("GET /2 ");
  service.write(answer("br", brotliCompressSync(TEXT)));
  expect(brotliDecompressSync(bytesOf(await client.receive())).toString()).toBe(CLEAN);
});

test("a client of HTTP/1.0 reads to the end of the connection", async () => {
  const { client, service } = await begin("GET / HTTP/1.0");
  service.write(answer("gzip", gzipSync(TEXT)));
  const all = await client.stream.readToEnd();
  expect(gunzipSync(all.subarray(all.indexOf("\r\n\r\n") + 4)).toString()).toBe(CLEAN);
});

test("a body in a coding that is not known, or in two, is refused whatever its type", async () => {
  for (const fields of [
    "deflate",
    "compress",
    "gzip, br",
    "identity, dcb",
    "gzip\r\nContent-Type: image/png\r\nContent-Encoding: br",
  ]) {
    const { client, service } = await begin("GET / HTTP/1.1");
    service.write(answer(fields, Buffer.from(SECRET)));
    const refused = await client.receive();
    expect(refused.header("x-gatehouse-denied"), fields).toBe("gate.upstream_protocol");
    expect(refused.body).not.toContain(SECRET);
    await eventually("the end of the upstream", () => service.isClosed);
  }
});

test("a body in a charset in which no value would be found, or of messages that are compressed, is refused", async () => {
  for (const field of [
    "Content-Type: application/json;charset=UTF-16",
    'Content-Type: text/plain; x=1; Charset = "utf-32le"',
    "Content-Type: text/plain;charset=utf-8;charset=IBM037",
    "Content-Type: text/html; charset=utf-7",
    "grpc-encoding: gzip",
    "Connect-Content-Encoding: br",
  ]) {
    const { client, service } = await begin("GET / HTTP/1.1");
    service.write(answer("identity", Buffer.from(SECRET, "utf16le"), [field]));
    const refused = await client.receive();
    expect(refused.header("x-gatehouse-denied"), field).toBe("gate.upstream_protocol");
    expect(refused.body).not.toContain("s\0k\0");
  }
  for (const field of [
    "Content-Type: text/html; charset=UTF-8",
    "Content-Type: a/b;charset=Shift_JIS",
    "grpc-encoding: identity",
  ]) {
    const { client, service } = await begin("GET / HTTP/1.1");
    service.write(answer("identity", Buffer.from(SECRET), [field]));
    expect(await client.receive(), field).toMatchObject({ status: 200, body: STAND_IN });
  }
});

test("a type that is no text is searched too", async () => {
  const { client, service } = await begin("GET / HTTP/1.1");
  service.write(answer("gzip", gzipSync(TEXT), ["Content-Type: application/octet-stream"]));
  expect(gunzipSync(bytesOf(await client.receive())).toString()).toBe(CLEAN);
});

describe("what the service is asked for", () => {
  test.each([
    [[], "identity"],
    [["Accept-Encoding: gzip, deflate, br, zstd"], "gzip, br, zstd"],
    [
      ["Accept-Encoding: gzip;q=0.8, *;q=0.1", "Accept-Encoding: X-GZIP ; q=1.000, identity;q=0"],
      "gzip;q=0.8, x-gzip ; q=1.000, identity;q=0",
    ],
    [["Accept-Encoding: compress, dcb, gzip;level=9"], "identity"],
    [["Accept-Encoding:"], "identity"],
  ])("%j: %s", async (fields, asked) => {
    const { client, head } = await begin("GET / HTTP/1.1", { fields });
    expect(/^accept-encoding: (.*)$/im.exec(head)?.[1]).toBe(asked);
    client.stream.socket.destroy();
  });

  test("is never a piece, a charset, a coding of messages or a digest, however the client spells it", async () => {
    const fields = [
      "Range: bytes=0-9",
      "Request-Range: bytes=0-9",
      "X-Ms-Range: bytes=0-9",
      "Accept_Encoding: deflate",
      "Accept-Charset: utf-16",
      "Grpc-Accept-Encoding: gzip",
      "Want-Content-Digest: sha-256=1",
      "If_Range: x",
    ];
    const { client, head } = await begin("GET / HTTP/1.1", { fields });
    const names = [...head.matchAll(/^([\w-]+):/gm)].map(([, name]) => name?.toLowerCase());
    expect(new Set(names)).toEqual(new Set(["host", "authorization", "accept-encoding"]));
    client.stream.socket.destroy();
  });

  test("stays as the client asked on a host without a grant, and the answer passes as it is", async () => {
    const client = await gate.tunnel(plain);
    client.send(`GET / HTTP/1.1\r\nHost: ${plain}\r\nAccept-Encoding: deflate, dcb\r\n\r\n`);
    const service = await origin.accept();
    expect(await service.readUntil("\r\n\r\n")).toContain("Accept-Encoding: deflate, dcb");
    service.write(answer("dcb", Buffer.from(SECRET), ['ETag: "a"']));
    expect(await client.receive()).toMatchObject({ status: 200, body: SECRET });
  });
});

test("a body that grows beyond all measure is cut off", { timeout: 60_000 }, async () => {
  const layer = Buffer.alloc(64 * 1_048_576);
  const bomb = brotliCompressSync(layer, { params: { [constants.BROTLI_PARAM_QUALITY]: 3 } });
  expect(bomb.length).toBeLessThan(16_384);
  const { client, service } = await begin("GET /bomb HTTP/1.1");
  service.write(answer("br", bomb));
  await client.stream.readToEnd();
  expect(await recordOf("/bomb")).toMatchObject({ code: "gate.upstream_protocol" });
});

test("a run that has as many as are left gets no more, other runs do, and a client that leaves makes room", async () => {
  const held: UnderWay[] = [];
  // One after the other: which connection at the service is whose is told by their order.
  for (let at = 0; at < 4; at += 1) {
    const one = await begin(`GET /held-${at} HTTP/1.1`, { via: tight });
    one.service.write("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n");
    await one.client.stream.readUntil("\r\n\r\n");
    held.push(one);
  }
  const fifth = await begin("GET /fifth HTTP/1.1", { via: tight });
  fifth.service.write(answer("gzip", gzipSync(TEXT)));
  expect((await fifth.client.receive()).header("x-gatehouse-denied")).toBe("gate.overloaded");
  const token = "ab".repeat(32);
  await tight.put({ ...granted, runId: parseRunId("run-2"), tokenHash: hashToken(token) });
  const other = await begin("GET /other HTTP/1.1", { token, via: tight });
  other.service.write(answer("gzip", gzipSync(TEXT)));
  expect((await other.client.receive()).status).toBe(200);
  held[0]?.client.stream.socket.destroy();
  await eventually("the end of the service's side", () => held[0]?.service.isClosed);
  const sixth = await begin("GET /sixth HTTP/1.1", { via: tight });
  sixth.service.write(answer("gzip", gzipSync(TEXT)));
  expect((await sixth.client.receive()).status).toBe(200);
  for (const { client } of held) client.stream.socket.destroy();
});

test("a body whose window takes more memory than is left for its run is cut off, and others go on", async () => {
  const large = brotliCompressSync(TEXT, { params: { [constants.BROTLI_PARAM_LGWIN]: 24 } });
  const cut = await begin("GET /large-window HTTP/1.1", { via: tight });
  cut.service.write(answer("br", large));
  expect((await cut.client.stream.readToEnd()).toString("latin1").endsWith("0\r\n\r\n")).toBe(false);
  await eventually("the record", () =>
    tight.records.some(({ url, code }) => url.endsWith("/large-window") && code === "gate.overloaded"),
  );
  const small = await begin("GET / HTTP/1.1", { via: tight });
  small.service.write(answer("br", brotliCompressSync(TEXT, { params: { [constants.BROTLI_PARAM_LGWIN]: 16 } })));
  expect(brotliDecompressSync(bytesOf(await small.client.receive())).toString()).toBe(CLEAN);
});

test("a service that switches to a WebSocket with extensions, which nobody asked for, is refused", async () => {
  const { client, service, head } = await begin("GET /ws HTTP/1.1", {
    fields: ["Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Extensions: permessage-deflate"],
  });
  expect(head.toLowerCase()).not.toContain("permessage");
  service.write(
    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n",
  );
  expect((await client.receive()).status).toBe(502);
});
