import { createServer as createPlainServer, type IncomingMessage, type ServerResponse } from "node:http";
import { createServer } from "node:https";
import type { AddressInfo, Server, Socket } from "node:net";
import type { TestAuthority } from "./test-authority.ts";

/** A server on a free loopback port; disposing of it cuts what is still connected. */
export interface LoopbackServer extends AsyncDisposable {
  readonly port: number;
  /** TCP connections accepted so far. */
  readonly connections: number;
}

export type Answer = (request: IncomingMessage, response: ServerResponse) => void;

/** Listens with TLS when an authority is given, else in clear. */
export async function openLoopbackServer(answer: Answer, authority?: TestAuthority): Promise<LoopbackServer> {
  const server =
    authority === undefined ? createPlainServer(answer) : createServer({ ...authority.serverOptions }, answer);
  return listenOnLoopback(server);
}

/** Starts any server on `127.0.0.1`, port 0, and owns its connections. */
export async function listenOnLoopback(server: Server): Promise<LoopbackServer> {
  const sockets = new Set<Socket>();
  let connections = 0;
  server.on("connection", (socket: Socket) => {
    connections += 1;
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, "127.0.0.1", resolve);
  });
  const { port } = server.address() as AddressInfo;
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
