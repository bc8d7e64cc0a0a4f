// The service that is asked: TLS, HTTP/1.1, as little work per request as Node can do.
import { readFileSync } from "node:fs";
import { createServer, type TLSSocket } from "node:tls";

const [, , certFile = "", keyFile = ""] = process.argv;
const ITEMS_BYTES = 1_024;
const PIECE = Buffer.alloc(65_536, "x ");
const END = "\r\n\r\n";
const head = (fields: string) => Buffer.from(`HTTP/1.1 200 OK\r\n${fields}${END}`);
const ITEMS = Buffer.concat([
  head(`Content-Type: application/json\r\nContent-Length: ${ITEMS_BYTES}`),
  Buffer.alloc(ITEMS_BYTES, "x"),
]);
const EVENTS_HEAD = head("Content-Type: text/event-stream\r\nTransfer-Encoding: chunked");
const FIRST_EVENT = Buffer.from("d\r\ndata: first\n\n\r\n");
const LAST_CHUNK = Buffer.from(`0${END}`);
const SWITCHED = Buffer.from(
  `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=${END}`,
);

const server = createServer({ cert: readFileSync(certFile), key: readFileSync(keyFile) }, serve);
server.listen({ port: 0, host: "127.0.0.1", backlog: 4_096 }, () =>
  process.send?.({ port: (server.address() as { port: number }).port }),
);
process.on("SIGTERM", () => process.exit());
process.on("disconnect", () => process.exit());

/** One connection: heads, and the bodies of uploads, which are counted and dropped. */
function serve(socket: TLSSocket): void {
  const state = { pending: "", bodyLeft: 0, isEcho: false };
  socket.setNoDelay(true);
  socket.on("error", () => socket.destroy());
  socket.on("data", (chunk: Buffer) => {
    if (state.isEcho) socket.write(unmasked(chunk));
    else if (state.bodyLeft > 0) takeBody(socket, state, chunk.length);
    else takeHeads(socket, state, chunk);
  });
}

/** The frame of a client, as a service sends it: without its mask, which is of zeros. */
function unmasked(frame: Buffer): Buffer {
  return Buffer.concat([Buffer.from([frame[0] ?? 0, (frame[1] ?? 0) & 0x7f]), frame.subarray(6)]);
}

interface State {
  pending: string;
  bodyLeft: number;
  isEcho: boolean;
}

function takeHeads(socket: TLSSocket, state: State, chunk: Buffer): void {
  state.pending += chunk.toString("latin1");
  for (let end = state.pending.indexOf(END); end >= 0; end = state.pending.indexOf(END)) {
    const request = state.pending.slice(0, end);
    state.pending = state.pending.slice(end + END.length);
    answer(socket, state, request);
  }
}

function takeBody(socket: TLSSocket, state: State, bytes: number): void {
  state.bodyLeft -= bytes;
  if (state.bodyLeft <= 0) socket.write(ITEMS);
}

function answer(socket: TLSSocket, state: State, request: string): void {
  if (request.startsWith("GET /v1/items")) socket.write(ITEMS);
  else if (request.startsWith("POST")) {
    state.bodyLeft = Number(/content-length: (\d+)/i.exec(request)?.[1]);
    const begun = state.pending.length;
    state.pending = "";
    takeBody(socket, state, begun);
  } else if (request.startsWith("GET /events")) sendEvents(socket);
  else if (request.startsWith("GET /socket")) {
    state.isEcho = true;
    socket.write(SWITCHED);
  } else void sendBytes(socket, Number(/^GET \/bytes\/(\d+)/.exec(request)?.[1]));
}

/** The second event comes later, so that the first is seen by itself. */
function sendEvents(socket: TLSSocket): void {
  socket.write(Buffer.concat([EVENTS_HEAD, FIRST_EVENT]));
  setTimeout(() => socket.write(LAST_CHUNK), 2);
}

async function sendBytes(socket: TLSSocket, bytes: number): Promise<void> {
  socket.write(head(`Content-Type: application/octet-stream\r\nContent-Length: ${bytes}`));
  for (let sent = 0; sent < bytes && !socket.destroyed; sent += PIECE.length) {
    const piece = PIECE.subarray(0, Math.min(PIECE.length, bytes - sent));
    if (!socket.write(piece)) await new Promise((resolve) => socket.once("drain", resolve));
  }
}
