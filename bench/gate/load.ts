// The generator: warm TLS connections, each with one request under way, through an authenticated CONNECT or directly.
import { readFileSync } from "node:fs";
import { connect as connectTcp, type Socket } from "node:net";
import { connect as connectTls, type TLSSocket } from "node:tls";

/** What one round is told. `proxyPort` 0 goes to the origin directly. */
export interface LoadOrder {
  readonly proxyPort: number;
  readonly proxyToken: string;
  readonly originPort: number;
  readonly host: string;
  readonly caFile: string;
  readonly connections: number;
  readonly seconds: number;
}

export interface LoadResult {
  readonly requests: number;
  readonly seconds: number;
  readonly p50Us: number;
  readonly p99Us: number;
  readonly failures: number;
}

process.on("message", (order: LoadOrder) => void load(order).then((result) => process.send?.(result)));
process.send?.({ ready: true });
process.on("SIGTERM", () => process.exit());

async function load(order: LoadOrder): Promise<LoadResult> {
  const ca = readFileSync(order.caFile);
  const sockets = await Promise.all(Array.from({ length: order.connections }, () => openTunnel(order, ca)));
  const request = Buffer.from(
    `GET /v1/items?page=1 HTTP/1.1\r\nHost: ${order.host}:${order.originPort}\r\nUser-Agent: bench/1\r\nAccept: application/json\r\nAuthorization: Bearer placeholder\r\n\r\n`,
  );
  const latencies: number[] = [];
  const began = performance.now();
  const deadline = began + order.seconds * 1000;
  const ends = await Promise.all(sockets.map((socket) => exchange(socket, { request, deadline, latencies })));
  const failures = ends.filter((isWhole) => !isWhole).length;
  const seconds = (performance.now() - began) / 1000;
  for (const socket of sockets) socket.destroy();
  latencies.sort((a, b) => a - b);
  const at = (share: number) => Math.round((latencies[Math.floor(latencies.length * share)] ?? 0) * 1000);
  return { requests: latencies.length, seconds, p50Us: at(0.5), p99Us: at(0.99), failures };
}

interface Exchange {
  readonly request: Buffer;
  readonly deadline: number;
  readonly latencies: number[];
}

/** Asks again and again on one connection until the time is up; false when an answer was not what it should be. */
function exchange(socket: TLSSocket, { request, deadline, latencies }: Exchange): Promise<boolean> {
  return new Promise((resolve) => {
    let sent = 0;
    let missing = 0;
    const send = () => {
      sent = performance.now();
      socket.write(request);
    };
    socket.on("data", (chunk: Buffer) => {
      missing = (missing || expected(chunk)) - chunk.length;
      if (missing < 0) resolve(false);
      if (missing !== 0) return;
      latencies.push(performance.now() - sent);
      if (performance.now() < deadline) send();
      else resolve(true);
    });
    socket.on("close", () => resolve(performance.now() >= deadline));
    send();
  });
}

/** Length of the whole answer whose beginning is here; the head always comes in the first piece. */
function expected(chunk: Buffer): number {
  const head = chunk.toString("latin1", 0, Math.min(chunk.length, 1024));
  const end = head.indexOf("\r\n\r\n") + 4;
  if (!head.startsWith("HTTP/1.1 200") || end < 4) return -1;
  return end + Number(/content-length: (\d+)/i.exec(head)?.[1] ?? 0);
}

async function openTunnel(order: LoadOrder, ca: Buffer): Promise<TLSSocket> {
  const { proxyPort, originPort, host } = order;
  const raw = proxyPort === 0 ? undefined : await openConnect(order);
  return new Promise((resolve, reject) => {
    const options = raw ? { socket: raw } : { host: "127.0.0.1", port: originPort };
    const socket = connectTls({ ...options, servername: host, ca }, () => {
      socket.setNoDelay(true);
      resolve(socket);
    });
    socket.on("error", reject);
  });
}

function openConnect({ proxyPort, proxyToken, originPort, host }: LoadOrder): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connectTcp(proxyPort, "127.0.0.1");
    const credentials = Buffer.from(`run:${proxyToken}`).toString("base64");
    socket.setNoDelay(true);
    socket.on("error", reject);
    socket.write(
      `CONNECT ${host}:${originPort} HTTP/1.1\r\nHost: ${host}:${originPort}\r\nProxy-Authorization: Basic ${credentials}\r\n\r\n`,
    );
    socket.once("data", (answer: Buffer) => {
      if (answer.toString("latin1").startsWith("HTTP/1.1 200")) resolve(socket);
      else reject(new Error(`CONNECT refused: ${answer.toString("latin1").split("\r\n")[0]}`));
    });
  });
}
