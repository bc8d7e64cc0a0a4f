import { createServer as createPlainServer, type IncomingMessage, type ServerResponse } from "node:http";
import { createServer } from "node:https";
import type { AddressInfo, Server, Socket } from "node:net";
import type { TestAuthority } from "./test-authority.ts";

/** Where on loopback a server listens. */
export interface LoopbackPlace {
  /** An address of 127.0.0.0/8. */
  readonly address: string;
  /** 0: a free one. */
  readonly port: number;
}

/** A port that was opened elsewhere, in another network namespace say. */
export interface ListeningHandle {
  readonly port: number;
  /** What `listen` of a server takes. */
  readonly handle: object;
}

/** A server on a loopback port; disposing of it cuts what is still connected. */
export interface LoopbackServer extends AsyncDisposable {
  readonly port: number;
  /** TCP connections accepted so far. */
  readonly connections: number;
}

export type Answer = (request: IncomingMessage, response: ServerResponse) => void;

export interface LoopbackOptions {
  /** With one the server speaks TLS, else in clear. */
  readonly authority?: TestAuthority | undefined;
  /** Default: a free port of `127.0.0.1`. */
  readonly at?: LoopbackPlace | ListeningHandle | undefined;
}

export async function openLoopbackServer(answer: Answer, options: LoopbackOptions = {}): Promise<LoopbackServer> {
  const { authority, at } = options;
  const server =
    authority === undefined ? createPlainServer(answer) : createServer({ ...authority.serverOptions }, answer);
  return listenOnLoopback(server, at);
}

const ANYWHERE: LoopbackPlace = { address: "127.0.0.1", port: 0 };

/** Starts any server on loopback, or on a port that was opened for it, and owns its connections. */
export async function listenOnLoopback(
  server: Server,
  at: LoopbackPlace | ListeningHandle = ANYWHERE,
): Promise<LoopbackServer> {
  const sockets = new Set<Socket>();
  let connections = 0;
  server.on("connection", (socket: Socket) => {
    connections += 1;
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    if ("handle" in at) server.listen(at.handle, resolve);
    else server.listen(at.port, at.address, resolve);
  });
  const port = "handle" in at ? at.port : (server.address() as AddressInfo).port;
  return {
    port,
    get connections() {
      return connections;
    },
    [Symbol.asyncDispose]: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of sockets) socket.destroy();
      }),
  };
}

/** The whole body of a request, in memory. */
export async function readBody(request: IncomingMessage): Promise<Buffer> {
  const parts: Buffer[] = [];
  for await (const part of request) parts.push(part as Buffer);
  return Buffer.concat(parts);
}
