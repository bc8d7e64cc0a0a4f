import {
  createSecureServer,
  type Http2SecureServer,
  type Http2ServerRequest,
  type Http2ServerResponse,
} from "node:http2";
import type { AddressInfo, Socket } from "node:net";
import { Lifetime, Problem } from "@gatehouse/core";
import { errorCode } from "@gatehouse/kit";

export interface ListenerOptions {
  readonly host: string;
  /** 0: any free one. */
  readonly port: number;
  readonly certificatePem: string;
  readonly privateKeyPem: string;
}

export type Handle = (request: Http2ServerRequest, response: Http2ServerResponse) => void;

/** The one TLS port of a server. Disposing stops accepting, then ends what is still open. */
export interface Listener extends AsyncDisposable {
  readonly port: number;
  /** Begins to answer. */
  serve(handle: Handle): void;
}

/** How long connections may finish what they do once the server closes. */
const DRAIN_MS = 5_000;
const MAX_SESSION_STREAMS = 256;
const HANDSHAKE_TIMEOUT_MS = 10_000;

/** Takes the port without answering yet: what stands in signatures may need its number. Fails with `config.port_busy`. */
export async function openListener({ host, port, certificatePem, privateKeyPem }: ListenerOptions): Promise<Listener> {
  const server = createSecureServer({
    key: privateKeyPem,
    cert: certificatePem,
    minVersion: "TLSv1.3",
    allowHTTP1: true,
    handshakeTimeout: HANDSHAKE_TIMEOUT_MS,
    settings: { maxConcurrentStreams: MAX_SESSION_STREAMS },
  });
  const life = new Lifetime();
  const sockets = trackSockets(server);
  await listen(server, { host, port });
  life.defer(() => close(server, sockets));
  return {
    port: (server.address() as AddressInfo).port,
    serve: (handle) => void server.on("request", handle),
    [Symbol.asyncDispose]: () => life[Symbol.asyncDispose](),
  };
}

function trackSockets(server: Http2SecureServer): ReadonlySet<Socket> {
  const sockets = new Set<Socket>();
  server.on("secureConnection", (socket) => {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
  });
  // A peer that breaks a rule of the protocol loses its connection; nobody else notices.
  server.on("sessionError", () => undefined);
  return sockets;
}

function listen(server: Http2SecureServer, at: { readonly host: string; readonly port: number }): Promise<void> {
  return new Promise((resolve, reject) => {
    const onError = (failure: Error) => reject(refused(failure, at.port));
    server.once("error", onError);
    server.listen(at, () => {
      server.off("error", onError);
      resolve();
    });
  });
}

function refused(failure: Error, port: number): Problem {
  const code = errorCode(failure);
  if (code === "EADDRINUSE") return new Problem("config.port_busy", { detail: `It is ${port}.`, cause: failure });
  return new Problem("config.invalid", { detail: `The server cannot listen there (${code}).`, cause: failure });
}

function close(server: Http2SecureServer, sockets: ReadonlySet<Socket>): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => {
      for (const socket of sockets) socket.destroy();
    }, DRAIN_MS);
    server.close(() => {
      clearTimeout(timer);
      resolve();
    });
  });
}
