import {
  createSecureServer,
  type Http2SecureServer,
  type Http2ServerRequest,
  type Http2ServerResponse,
  type ServerHttp2Session,
} from "node:http2";
import type { AddressInfo, Socket } from "node:net";
import { Lifetime, Problem } from "@gatehouse/core";
import { errorCode, SILENCE, SilentPeers } from "@gatehouse/kit";
import { type ConnectionLimits, ConnectionPlaces, type Peer } from "../limits/connection-places.ts";
import { type Held, HeldBytes, holdByPeer } from "../limits/held-bytes.ts";

/** What the port proves itself with, PEM. */
export interface ListenerLeaf {
  readonly certificatePem: string;
  readonly privateKeyPem: string;
}

export interface ListenerOptions extends ListenerLeaf {
  readonly host: string;
  /** 0: any free one. */
  readonly port: number;
  /** Default: what a server has memory for. */
  readonly limits?: ListenerLimits;
}

export interface ListenerLimits extends ConnectionLimits {
  /** What messages may take that are not dealt with yet: of peers that are not known, and of those that are. */
  readonly unknownBytes: number;
  readonly knownBytes: number;
}

export type Handle = (request: Http2ServerRequest, response: Http2ServerResponse) => void;

/** The one TLS port of a server. Disposing stops accepting, lets calls finish for a while, then ends what is still open. */
export interface Listener extends AsyncDisposable {
  readonly port: number;
  readonly connections: number;
  /** Begins to answer. */
  serve(handle: Handle): void;
  /** Proves itself with another leaf on connections that come from now on. */
  renew(leaf: ListenerLeaf): void;
  /** The peer showed who they are: their connection is not cut for the sake of others. */
  keep(peer: Peer, who: string): void;
  isKnown(peer: Peer): boolean;
  /** Counts what a call's messages take; who has most of what is too much is cut. */
  hold(request: Http2ServerRequest): Held;
  /** Takes no new connection; those that are open go on. */
  refuseNew(): void;
}

/** How long connections may finish what they do once the server closes. */
const DRAIN_MS = 5_000;
/** A fleet that comes back at once has a call or two under way on each connection before it is known. */
const LIMITS: ListenerLimits = {
  connections: 16_384,
  unknownCalls: 32_768,
  unknownBytes: 32 * 1_048_576,
  knownBytes: 512 * 1_048_576,
};
/** Connections that come while others, which gave them their places, are being closed. */
const CLOSING_CONNECTIONS = 256;
const MAX_SESSION_STREAMS = 256;
const HANDSHAKE_TIMEOUT_MS = 10_000;
/** How long a connection may be open without a call under way. */
const IDLE_MS = 60_000;
/** How long a request may take to arrive, where it is one message. */
const REQUEST_MS = 30_000;
/** How long nothing may move while its answer is waited for, or taken. */
const STALLED_MS = 60_000;
const MAX_HEADER_BYTES = 16_384;
const MAX_HEADERS = 64;

/** Bounds of HTTP/2: what one connection may hold, and how often it may err. */
const HTTP2_BOUNDS = {
  settings: { maxConcurrentStreams: MAX_SESSION_STREAMS, maxHeaderListSize: MAX_HEADER_BYTES },
  maxHeaderListPairs: MAX_HEADERS,
  maxSessionMemory: 16,
  maxSessionInvalidFrames: 16,
  maxSessionRejectedStreams: 32,
  unknownProtocolTimeout: HANDSHAKE_TIMEOUT_MS,
} as const;
const HTTP1_BOUNDS = {
  headersTimeout: HANDSHAKE_TIMEOUT_MS,
  requestTimeout: REQUEST_MS,
  keepAliveTimeout: IDLE_MS,
  connectionsCheckingInterval: 5_000,
  maxHeaderSize: MAX_HEADER_BYTES,
} as const;

/** Takes the port without answering yet: what stands in signatures may need its number. Fails with `config.port_busy`. */
export async function openListener(options: ListenerOptions): Promise<Listener> {
  const { host, port, limits = LIMITS, ...leaf } = options;
  const server = createSecureServer({ ...contextOf(leaf), ...HTTP2_BOUNDS, ...HTTP1_BOUNDS, allowHTTP1: true });
  server.maxConnections = limits.connections + CLOSING_CONNECTIONS;
  const places = new ConnectionPlaces(limits);
  const pools = { unknown: new HeldBytes(limits.unknownBytes), known: new HeldBytes(limits.knownBytes) };
  server.on("connection", (socket: Socket) => places.take(socket));
  const life = new Lifetime();
  const open = trackConnections(server);
  const peers = life.own(new SilentPeers(SILENCE.ofAcceptor));
  server.on("session", (session) => peers.watch(session));
  await listen(server, { host, port });
  const ended = Promise.withResolvers<void>();
  const refuseNew = () => void server.close(() => ended.resolve());
  life.defer(() => {
    if (server.listening) refuseNew();
    return endConnections(open, ended.promise);
  });
  return {
    port: (server.address() as AddressInfo).port,
    get connections() {
      return open.sockets.size;
    },
    serve: (handle) => {
      server.on("request", (request, response) => {
        response.once("close", places.begin(request.socket));
        handle(request, response);
      });
    },
    keep: (peer, who) => places.keep(peer, who),
    isKnown: (peer) => places.isKnown(peer),
    hold: ({ socket, stream }) => {
      // Asked again later, a connection that is gone tells nobody its address.
      const { remoteAddress, remotePort } = socket;
      const holderNow = () => places.holderOf({ remoteAddress, remotePort });
      return holdByPeer(stream?.session ?? socket, holderNow, pools);
    },
    refuseNew,
    renew: (next) => server.setSecureContext(contextOf(next)),
    [Symbol.asyncDispose]: () => life[Symbol.asyncDispose](),
  };
}

function contextOf({ certificatePem, privateKeyPem }: ListenerLeaf) {
  const own = { key: privateKeyPem, cert: certificatePem, minVersion: "TLSv1.3" } as const;
  return { ...own, handshakeTimeout: HANDSHAKE_TIMEOUT_MS };
}

/**
 * A request that is one message must arrive in time; what streams in says who it is before its first message, and may
 * take as long as its session lives.
 */
export function boundArrival(request: Http2ServerRequest, response: Http2ServerResponse): void {
  if (request.complete) return;
  const timer = setTimeout(() => cut(request, response), REQUEST_MS);
  const done = () => clearTimeout(timer);
  request.once("end", done);
  response.once("close", done);
}

/** An answer that is one message is taken, or lets go of what it holds: who takes none keeps it in memory. */
export function boundTaking(request: Http2ServerRequest, response: Http2ServerResponse): void {
  response.setTimeout(STALLED_MS, () => cut(request, response));
}

function cut(request: Http2ServerRequest, response: Http2ServerResponse): void {
  if (response.stream === undefined) request.socket.destroy();
  else response.stream.close();
}

interface OpenConnections {
  readonly sockets: Set<Socket>;
  readonly sessions: Set<ServerHttp2Session>;
}

function trackConnections(server: Http2SecureServer): OpenConnections {
  const [sockets, sessions] = [new Set<Socket>(), new Set<ServerHttp2Session>()];
  server.on("secureConnection", (socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
  });
  server.on("session", (session: ServerHttp2Session) => {
    sessions.add(session);
    session.on("close", () => sessions.delete(session));
    endWhenIdle(session);
  });
  // A peer that breaks a rule of the protocol loses its connection; nobody else notices.
  server.on("sessionError", () => undefined);
  return { sockets, sessions };
}

function endWhenIdle(session: ServerHttp2Session): void {
  let calls = 0;
  const wait = () => setTimeout(() => session.close(), IDLE_MS);
  let timer: NodeJS.Timeout | undefined = wait();
  const stop = () => {
    clearTimeout(timer);
    timer = undefined;
  };
  const onEnd = () => {
    calls -= 1;
    if (calls === 0 && !session.closed) timer = wait();
  };
  session.on("stream", (stream) => {
    calls += 1;
    stop();
    stream.on("close", onEnd);
  });
  session.on("close", stop);
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

/** HTTP/2 says GOAWAY: calls that are under way finish, no new one begins. Who takes too long is cut. */
async function endConnections({ sockets, sessions }: OpenConnections, ended: Promise<void>): Promise<void> {
  for (const session of sessions) session.close();
  const timer = setTimeout(() => {
    for (const socket of sockets) socket.destroy();
  }, DRAIN_MS);
  await ended;
  clearTimeout(timer);
}
