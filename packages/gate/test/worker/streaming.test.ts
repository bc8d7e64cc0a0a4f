import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import type { Socket } from "node:net";
import { Readable } from "node:stream";
import { createServer as createTlsServer } from "node:tls";
import { createGunzip, createGzip } from "node:zlib";
import { eventually, listenOnLoopback } from "@gatehouse/testbed";
import { expect, test } from "vitest";
import { allowing, injection, openGate, outside } from "./gate-under-test.ts";

const MEBIBYTE = 1_048_576;
const BLOCK = Buffer.alloc(65_536, "0123456789abcdef");

/** A service of few words: it hands each connection to the test as a bare socket. */
async function openStreamOrigin(onConnection: (socket: Socket) => void) {
  const server = createTlsServer(outside.serverOptions, (socket) => {
    socket.on("error", () => undefined);
    onConnection(socket);
  });
  return listenOnLoopback(server);
}

/** Writes blocks as fast as they are taken. Stops after `total`; says how many bytes were taken so far. */
function pour(socket: Socket, total: number): { readonly sent: number; readonly isDone: boolean } {
  const state = { sent: 0, isDone: false };
  const more = () => {
    while (state.sent < total && !socket.destroyed) {
      state.sent += BLOCK.length;
      if (!socket.write(BLOCK)) return void socket.once("drain", more);
    }
    state.isDone = true;
  };
  more();
  return state;
}

/** Reads a body whole without keeping it, behind a head if there is one. */
function digest(socket: Socket, total: number, isBehindHead: boolean = false): Promise<string> {
  const hash = createHash("sha256");
  let head: Buffer | undefined = isBehindHead ? Buffer.alloc(0) : undefined;
  let count = 0;
  return new Promise((resolve, reject) => {
    socket.on("data", (chunk: Buffer) => {
      let data = chunk;
      if (head !== undefined) {
        head = Buffer.concat([head, chunk]);
        const end = head.indexOf("\r\n\r\n");
        if (end < 0) return;
        data = head.subarray(end + 4);
        head = undefined;
      }
      hash.update(data);
      count += data.length;
      if (count === total) resolve(hash.digest("hex"));
    });
    socket.once("close", () => reject(new Error(`closed after ${count} of ${total} bytes`)));
    socket.resume();
  });
}

function expectedDigest(total: number): string {
  const hash = createHash("sha256");
  for (let sent = 0; sent < total; sent += BLOCK.length) hash.update(BLOCK);
  return hash.digest("hex");
}

/** Growth of this process while something runs, garbage aside as far as it can be. */
async function growthDuring(work: () => Promise<void>): Promise<number> {
  globalThis.gc?.();
  const before = process.memoryUsage().rss;
  let most = before;
  const watch = setInterval(() => {
    most = Math.max(most, process.memoryUsage().rss);
  }, 20);
  await work();
  clearInterval(watch);
  return most - before;
}

test.each([
  ["plain", false],
  ["scrubbed", true],
])("a large download passes whole in bounded memory, %s", { timeout: 60_000 }, async (_, isGranted) => {
  const total = 192 * MEBIBYTE;
  await using origin = await openStreamOrigin((socket) => {
    socket.once("data", () => {
      socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${total}\r\n\r\n`);
      pour(socket, total);
    });
  });
  await using gate = await openGate();
  const host = `api.test:${origin.port}`;
  await gate.put({
    policy: allowing(host),
    injections: isGranted ? [injection(host, "Bearer real-secret-value")] : [],
    scrub: [{ value: "real-secret-value", overwrite: "gh-placeholder-00" }],
  });
  const client = await gate.tunnel(host);
  const growth = await growthDuring(async () => {
    client.send(`GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
    expect(await digest(client.stream.release(), total, true)).toBe(expectedDigest(total));
  });
  // Client, gate and service live in this one process.
  expect(growth).toBeLessThan(128 * MEBIBYTE);
  await eventually("the record", () => gate.records.some(({ bytes_out }) => bytes_out === total));
});

test("a large upload passes whole in bounded memory", { timeout: 60_000 }, async () => {
  const total = 192 * MEBIBYTE;
  const received = Promise.withResolvers<string>();
  await using origin = await openStreamOrigin((socket) => {
    socket.once("data", (first: Buffer) => {
      socket.unshift(first.subarray(first.indexOf("\r\n\r\n") + 4));
      digest(socket, total).then((hash) => {
        received.resolve(hash);
        socket.write("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
      }, received.reject);
    });
  });
  await using gate = await openGate();
  const host = `api.test:${origin.port}`;
  await gate.put({ policy: allowing(host) });
  const client = await gate.tunnel(host);
  const growth = await growthDuring(async () => {
    client.send(`PUT / HTTP/1.1\r\nHost: ${host}\r\nContent-Length: ${total}\r\n\r\n`);
    pour(client.stream.socket, total);
    expect(await received.promise).toBe(expectedDigest(total));
  });
  expect(growth).toBeLessThan(128 * MEBIBYTE);
  expect((await client.receive()).status).toBe(200);
});

test("a client that does not read stops the service, and one that reads again gets all", async () => {
  const total = 64 * MEBIBYTE;
  let poured: ReturnType<typeof pour> | undefined;
  await using origin = await openStreamOrigin((socket) => {
    socket.once("data", () => {
      socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${total}\r\n\r\n`);
      poured = pour(socket, total);
    });
  });
  await using gate = await openGate();
  const host = `api.test:${origin.port}`;
  await gate.put({ policy: allowing(host) });
  const client = await gate.tunnel(host);
  client.send(`GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
  const socket = client.stream.release();
  socket.pause();
  const stalled = await untilStill(() => poured?.sent ?? 0);
  expect(stalled).toBeLessThan(total / 2);
  expect(await digest(socket, total, true)).toBe(expectedDigest(total));
});

test("an encoded answer waits for its client too, and comes whole in bounded memory", { timeout: 60_000 }, async () => {
  const total = 48 * MEBIBYTE;
  const block = Buffer.from(randomBytes(32_768).toString("hex"));
  let sent = 0;
  const blocks = function* () {
    for (; sent < total; sent += block.length) yield block;
  };
  await using origin = await openStreamOrigin((socket) => {
    socket.once("data", () => {
      socket.write("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n");
      Readable.from(blocks())
        .pipe(createGzip({ level: 1 }))
        .pipe(socket);
    });
  });
  await using gate = await openGate();
  const host = `api.test:${origin.port}`;
  await gate.put({
    policy: allowing(host),
    injections: [injection(host, "Bearer real-secret-value")],
    scrub: [{ value: "real-secret-value", overwrite: "gh-placeholder-00" }],
  });
  const client = await gate.tunnel(host);
  const growth = await growthDuring(async () => {
    client.send(`GET / HTTP/1.0\r\nHost: ${host}\r\n\r\n`);
    const socket = client.stream.release();
    socket.pause();
    expect(await untilStill(() => sent)).toBeLessThan(total / 2);
    let count = 0;
    const decoder = createGunzip();
    decoder.on("data", (data: Buffer) => {
      count += data.length;
    });
    // The head ends in the first piece: nothing of the body had been sent when it was.
    socket.once("data", (first: Buffer) => {
      decoder.write(first.subarray(first.indexOf("\r\n\r\n") + 4));
      socket.pipe(decoder);
    });
    socket.resume();
    await once(decoder, "end");
    expect(count).toBe(total);
  });
  expect(growth).toBeLessThan(128 * MEBIBYTE);
});

test("a service that does not read stops the client", async () => {
  const total = 64 * MEBIBYTE;
  const connected = Promise.withResolvers<Socket>();
  await using origin = await openStreamOrigin((socket) => {
    socket.pause();
    connected.resolve(socket);
  });
  await using gate = await openGate();
  const host = `api.test:${origin.port}`;
  await gate.put({ policy: allowing(host) });
  const client = await gate.tunnel(host);
  client.send(`PUT / HTTP/1.1\r\nHost: ${host}\r\nContent-Length: ${total}\r\n\r\n`);
  const poured = pour(client.stream.socket, total);
  const socket = await connected.promise;
  expect(await untilStill(() => poured.sent)).toBeLessThan(total / 2);
  socket.resume();
  await eventually("the rest", () => poured.isDone);
});

test("a client that asks and asks but never reads is not answered without bound", async () => {
  const answer = Buffer.from(`HTTP/1.1 200 OK\r\nContent-Length: 65536\r\n\r\n${BLOCK}`);
  let asked = 0;
  await using origin = await openStreamOrigin((socket) => {
    socket.on("data", (chunk: Buffer) => {
      asked += chunk.toString("latin1").split("\r\n\r\n").length - 1;
      socket.write(answer);
    });
  });
  await using gate = await openGate();
  const host = `api.test:${origin.port}`;
  await gate.put({ policy: allowing(host) });
  const client = await gate.tunnel(host);
  const socket = client.stream.release();
  socket.pause();
  const count = 2_000;
  socket.write(`GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`.repeat(count));
  expect(await untilStill(() => asked)).toBeLessThan(count / 2);
  let bytes = 0;
  socket.on("data", (chunk: Buffer) => {
    bytes += chunk.length;
  });
  socket.resume();
  await eventually("every answer", () => bytes >= count * BLOCK.length, { timeoutMs: 15_000 });
  expect(asked).toBe(count);
});

/** Waits until a count has not moved for a while, and returns it. */
async function untilStill(read: () => number): Promise<number> {
  let last = -1;
  let since = performance.now();
  return eventually("a count that stands still", () => {
    const now = read();
    if (now !== last) {
      last = now;
      since = performance.now();
    }
    return now > 0 && performance.now() - since > 400 ? now : undefined;
  });
}
