import { once } from "node:events";
import type { TLSSocket } from "node:tls";
import { openTunnel } from "./open-tunnel.ts";
import type { Way } from "./order.ts";

const PIECE = Buffer.alloc(65_536, "u");
/** A masked WebSocket text frame: 32 bytes as a program would send them. */
const FRAME = Buffer.concat([
  Buffer.from([0x81, 0x80 | 32, 0, 0, 0, 0]),
  Buffer.from('{"type":"ping","id":1234567890} '),
]);
const MASK_BYTES = 4;

/** Seconds that a body of so many bytes took down the way. */
export async function download(way: Way, bytes: number): Promise<number> {
  const socket = await openTunnel(way);
  const began = performance.now();
  socket.write(`GET /bytes/${bytes} HTTP/1.1\r\nHost: ${way.host}:${way.originPort}\r\n\r\n`);
  let missing = -1;
  for await (const chunk of socket as AsyncIterable<Buffer>) {
    if (missing < 0) missing = bytes + chunk.indexOf("\r\n\r\n") + 4;
    missing -= chunk.length;
    if (missing <= 0) break;
  }
  if (missing !== 0) throw new Error(`the body was ${missing} bytes short`);
  return (performance.now() - began) / 1000;
}

/** Seconds that a body of so many bytes took up the way, until it was answered. */
export async function upload(way: Way, bytes: number): Promise<number> {
  const socket = await openTunnel(way);
  const began = performance.now();
  const answered = once(socket, "data") as Promise<[Buffer]>;
  answered.catch(() => undefined); // what breaks the connection is told by the write that met it
  socket.write(
    `POST /upload HTTP/1.1\r\nHost: ${way.host}:${way.originPort}\r\nContent-Type: application/octet-stream\r\nContent-Length: ${bytes}\r\n\r\n`,
  );
  for (let sent = 0; sent < bytes; sent += PIECE.length) {
    const piece = PIECE.subarray(0, Math.min(PIECE.length, bytes - sent));
    if (!socket.write(piece)) await once(socket, "drain");
  }
  const [answer] = await answered;
  if (!answer.toString("latin1").startsWith("HTTP/1.1 200")) throw new Error("the upload was refused");
  socket.destroy();
  return (performance.now() - began) / 1000;
}

/** Time from asking for a stream of events to the first of them. */
export async function firstEvents(way: Way, count: number): Promise<number[]> {
  const latenciesMs: number[] = [];
  const socket = await openTunnel(way);
  for (let done = 0; done < count; done += 1) {
    const began = performance.now();
    socket.write(`GET /events HTTP/1.1\r\nHost: ${way.host}:${way.originPort}\r\nAccept: text/event-stream\r\n\r\n`);
    await untilSeen(socket, "data: first\n\n");
    latenciesMs.push(performance.now() - began);
    await untilSeen(socket, "0\r\n\r\n");
  }
  socket.destroy();
  return latenciesMs;
}

/** Time of one message to a WebSocket that sends it back. */
export async function echoes(way: Way, count: number): Promise<number[]> {
  const socket = await openTunnel(way);
  socket.write(
    `GET /socket HTTP/1.1\r\nHost: ${way.host}:${way.originPort}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n`,
  );
  await untilSeen(socket, "\r\n\r\n");
  const latenciesMs: number[] = [];
  for (let done = 0; done < count; done += 1) {
    const began = performance.now();
    socket.write(FRAME);
    await untilBytes(socket, FRAME.length - MASK_BYTES);
    latenciesMs.push(performance.now() - began);
  }
  socket.destroy();
  return latenciesMs;
}

function untilSeen(socket: TLSSocket, text: string): Promise<void> {
  let seen = "";
  return until(socket, (chunk) => {
    seen += chunk.toString("latin1");
    return seen.includes(text);
  });
}

function untilBytes(socket: TLSSocket, bytes: number): Promise<void> {
  let missing = bytes;
  return until(socket, (chunk) => {
    missing -= chunk.length;
    return missing <= 0;
  });
}

function until(socket: TLSSocket, isEnough: (chunk: Buffer) => boolean): Promise<void> {
  return new Promise((resolve, reject) => {
    const onClose = () => reject(new Error("the stream was closed"));
    const onData = (chunk: Buffer) => {
      if (!isEnough(chunk)) return;
      socket.off("data", onData);
      socket.off("close", onClose);
      resolve();
    };
    socket.on("data", onData);
    socket.on("close", onClose);
  });
}
