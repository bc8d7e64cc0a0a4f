import { randomBytes } from "node:crypto";
import { chmod, lstat, rename, unlink } from "node:fs/promises";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { connect, type Socket } from "node:net";
import { dirname, join } from "node:path";
import { linkSignals, Problem } from "@gatehouse/core";
import { errorCode, systemReason } from "../files/error-code.ts";
import type { Log } from "../log/log.ts";
import { native, type PeerCredentials } from "../native/native.ts";
import { socketDescriptor } from "../native/socket-descriptor.ts";
import { Connections } from "./connections.ts";
import { createDispatcher, type Exchange } from "./dispatch.ts";
import type { Route } from "./route.ts";
import { sendProblem } from "./send-answer.ts";

const DEFAULT_MAX_BODY_BYTES = 1_048_576;
const MAX_CONNECTIONS = 512;
/** A caller that dawdles over its request is cut off; how long an answer takes is not bounded. */
const HEADERS_TIMEOUT_MS = 5_000;
const REQUEST_TIMEOUT_MS = 30_000;
/** How often Node looks for callers that have dawdled too long. */
const DAWDLE_CHECK_MS = 1_000;
const KEEP_ALIVE_MS = 5_000;
/** What still runs when the server closes has this long, then it is cut. */
const CLOSE_DEADLINE_MS = 2_000;
/** Longest time that is spent on asking whether anybody answers at an existing socket. */
const STALE_CHECK_MS = 1_000;

export interface ServeUnixOptions {
  readonly socketPath: string;
  readonly routes: readonly Route[];
  readonly log: Log;
  /** Closes the server when it aborts. */
  readonly signal?: AbortSignal;
  /** Sees each request first. True: it has been answered, or will be. */
  readonly intercept?: (request: IncomingMessage, response: ServerResponse) => Promise<boolean>;
  /** Told of each request as it comes. */
  readonly onRequest?: (request: IncomingMessage) => void;
  /**
   * The caller holds a lock under which nobody else may serve here: whatever stands in the socket's place is replaced,
   * without a moment in which there is none.
   */
  readonly replaces?: boolean;
  /** Default 1 MiB. */
  readonly maxBodyBytes?: number;
  /** How long requests may go on when the server closes. Default 2,000. */
  readonly closeDeadlineMs?: number;
}

/**
 * Serves HTTP/JSON on a Unix socket of mode 0600. Only the same user or root may call, checked by the kernel's note of
 * the peer where native calls are there. A socket file that nobody answers is replaced; a live one fails with
 * `state.locked`, anything else in its place with `state.unsafe_file`. Disposing stops accepting, ends idle
 * connections at once, aborts the signals of requests, waits for them up to the deadline and removes the socket.
 */
export async function serveUnix(options: ServeUnixOptions): Promise<AsyncDisposable> {
  if (options.replaces !== true) await removeStaleSocket(options.socketPath);
  const closing = new AbortController();
  const server = createServer({
    headersTimeout: HEADERS_TIMEOUT_MS,
    requestTimeout: REQUEST_TIMEOUT_MS,
    connectionsCheckingInterval: DAWDLE_CHECK_MS,
  });
  server.keepAliveTimeout = KEEP_ALIVE_MS;
  server.maxConnections = MAX_CONNECTIONS;
  const connections = new Connections(server);
  server.on("request", createResponder(options, connections, closing.signal));
  const inode = await listen(server, options.socketPath);
  let closed: Promise<void> | undefined;
  const close = () => {
    const deadlineMs = options.closeDeadlineMs ?? CLOSE_DEADLINE_MS;
    closed ??= closeServer({ server, connections, closing }, deadlineMs).then(() => {
      return removeOwn(options.socketPath, inode);
    });
    return closed;
  };
  const onAbort = () => void close();
  options.signal?.addEventListener("abort", onAbort, { once: true });
  if (options.signal?.aborted) onAbort();
  return {
    [Symbol.asyncDispose]: async () => {
      options.signal?.removeEventListener("abort", onAbort);
      await close();
    },
  };
}

type Responder = (request: IncomingMessage, response: ServerResponse) => void;

function createResponder(options: ServeUnixOptions, connections: Connections, closing: AbortSignal): Responder {
  const dispatch = createDispatcher({
    routes: options.routes,
    log: options.log,
    maxBodyBytes: options.maxBodyBytes ?? DEFAULT_MAX_BODY_BYTES,
  });
  return (request, response) => {
    options.onRequest?.(request);
    response.once("close", connections.begin(request.socket));
    const peer = identifyPeer(request.socket);
    if (peer === "refused") {
      options.log.warn("a caller of another user was refused");
      response.setHeader("connection", "close");
      sendProblem(response, new Problem("api.peer_refused"));
      return;
    }
    void (async () => {
      if (await options.intercept?.(request, response)) return;
      await follow({ request, response, peer }, closing, dispatch);
    })();
  };
}

/** Ties a request's signal to the caller's leaving and to the server's closing for as long as it is under way. */
async function follow(
  start: Omit<Exchange, "signal">,
  closing: AbortSignal,
  dispatch: (exchange: Exchange) => Promise<void>,
): Promise<void> {
  const left = new AbortController();
  const onClose = () => left.abort(new DOMException("the caller left", "AbortError"));
  start.response.once("close", onClose);
  using linked = linkSignals(left.signal, closing);
  await dispatch({ ...start, signal: linked.signal });
}

function identifyPeer(socket: Socket): PeerCredentials | undefined | "refused" {
  if (!native.available) return undefined;
  const descriptor = socketDescriptor(socket);
  if (descriptor === undefined) return "refused";
  try {
    const peer = native.peerCredentials(descriptor);
    return peer.uid === 0 || peer.uid === process.getuid?.() ? peer : "refused";
  } catch {
    // A peer that the kernel cannot name is nobody's.
    return "refused";
  }
}

async function removeStaleSocket(path: string): Promise<void> {
  try {
    const stats = await lstat(path);
    if (!stats.isSocket()) throw new Problem("state.unsafe_file", { detail: `${path} is not a socket.` });
  } catch (failure) {
    if (errorCode(failure) === "ENOENT") return;
    throw failure;
  }
  if (await answers(path)) throw new Problem("state.locked", { detail: `Something answers at ${path}.` });
  await unlink(path);
}

function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    const settle = (isThere: boolean) => {
      socket.destroy();
      resolve(isThere);
    };
    // One that accepts nothing but is full or slow is there all the same.
    socket.setTimeout(STALE_CHECK_MS, () => settle(true));
    socket.once("connect", () => settle(true));
    socket.once("error", (failure) => settle(!["ECONNREFUSED", "ENOENT"].includes(errorCode(failure))));
  });
}

/**
 * Binds under a name of its own and moves the socket in place once its mode is right. Node removes the name that was
 * bound when it closes, and by then another may serve at `path`. Returns the socket's inode.
 */
async function listen(server: Server, path: string): Promise<number> {
  // No longer than the names of sockets are, so that it fits wherever they do.
  const bound = join(dirname(path), `.s${randomBytes(3).toString("hex")}`);
  try {
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(bound, () => {
        server.off("error", reject);
        resolve();
      });
    });
    await chmod(bound, 0o600);
    const { ino } = await lstat(bound);
    await rename(bound, path);
    return ino;
  } catch (failure) {
    server.close();
    throw new Problem("state.write_failed", { detail: `${path}: ${systemReason(failure)}.`, cause: failure });
  }
}

/** Another server may have taken the name over. */
async function removeOwn(path: string, inode: number): Promise<void> {
  try {
    if ((await lstat(path)).ino === inode) await unlink(path);
  } catch (failure) {
    if (errorCode(failure) !== "ENOENT") throw failure;
  }
}

interface OpenServer {
  readonly server: Server;
  readonly connections: Connections;
  readonly closing: AbortController;
}

async function closeServer({ server, connections, closing }: OpenServer, deadlineMs: number): Promise<void> {
  const done = new Promise<void>((resolve) => server.close(() => resolve()));
  closing.abort(new DOMException("the server is closing", "AbortError"));
  connections.close();
  const timer = setTimeout(() => server.closeAllConnections(), deadlineMs);
  await done;
  clearTimeout(timer);
}
