import type { X509Certificate } from "node:crypto";
import type { Http2Session } from "node:http2";
import type { TLSSocket } from "node:tls";
import type { Interceptor, Transport } from "@connectrpc/connect";
import { createGrpcTransport, Http2SessionManager } from "@connectrpc/connect-node";
import { base64url, Problem, systemRandom } from "@gatehouse/core";
import type { KeySetDocument } from "../keys/key-set-document.ts";
import { sha256 } from "../keys/sha256.ts";
import { openSocket } from "./open-socket.ts";
import { orgPin } from "./pins.ts";
import { problemsOf } from "./problem-of-error.ts";
import { SILENCE, SilentPeers } from "./silent-peers.ts";
import { isLeafOf, replacedKeys, untrustedLeaf, verifyLeaf } from "./verify-leaf.ts";
import { checkWellKnown, type ServerIdentity } from "./well-known.ts";

/** A verified connection to a server, for RPCs. It is one connection: when it breaks, open another. */
export interface ServerChannel extends Disposable {
  readonly transport: Transport;
  /** Settles when the connection is gone. */
  readonly closed: Promise<void>;
  /** Sends a form over the same connection. Fails with `server.unreachable`, `server.timeout`. */
  postForm(path: string, fields: Readonly<Record<string, string>>): Promise<FormAnswer>;
}

/** A connection to a server that was known before. */
export interface KnownChannel extends ServerChannel {
  /**
   * Fetches the key set of an epoch that the server announced, on this connection, and remembers it. Fails with
   * `server.untrusted` when it has none that is so new, or none that covers the connection.
   */
  learnKeySet(epoch: number): Promise<KeySetDocument>;
  /** What time it is there, Unix milliseconds: this host's clock may be wrong. Fails with `server.untrusted`. */
  serverTime(): Promise<number>;
}

/** What came back, whatever the status; a body that is no JSON is `undefined`. */
export interface FormAnswer {
  readonly status: number;
  readonly body: unknown;
}

const REQUEST_TIMEOUT_MS = 30_000;
const MAX_ANSWER_BYTES = 262_144;
const NONCE_BYTES = 24;

export interface ChannelOptions {
  readonly signal?: AbortSignal | undefined;
  /** Around each call; failures reach them as problems. */
  readonly interceptors?: readonly Interceptor[];
}

/** What its callers remember of a server. */
export interface KnownServer {
  readonly origin: string;
  readonly identityKey: Uint8Array;
  readonly orgId: string;
  readonly orgKey: Uint8Array;
  readonly keySet: KeySetDocument;
  /** Remembers a key set of a higher epoch, before anything is sent under it. */
  readonly saveKeySet: (keySet: KeySetDocument) => Promise<void>;
}

/**
 * Opens a connection to a server that is known. A leaf that the known key set does not cover must be vouched for by one
 * of a higher epoch, signed by the same identity key and fetched on this connection; nothing else is sent before. Fails
 * with `server.untrusted`, `server.unreachable`.
 */
export async function openKnownChannel(
  server: KnownServer,
  { signal, interceptors = [] }: ChannelOptions = {},
): Promise<KnownChannel> {
  const { origin } = server;
  const socket = await openSocket(origin, signal);
  // Read now: once HTTP/2 has the socket, it does not show the peer any more.
  const leaf = socket.getPeerX509Certificate();
  const { channel, manager } = toChannel(origin, socket, interceptors);
  const pin = orgPin(server.identityKey, server.orgId, server.orgKey);
  const serverTime = async () => (await fetchIdentity(manager, leaf, { origin, pin })).serverTime;
  const learnKeySet = async (epoch: number) => {
    const { keySet } = await fetchIdentity(manager, leaf, { origin, pin });
    const isKnown = keySet.signature === server.keySet.signature;
    if (keySet.epoch < epoch) throw isKnown ? untrustedLeaf() : replacedKeys(keySet.epoch, server.keySet.epoch);
    verifyLeaf(leaf, keySet, origin);
    await server.saveKeySet(keySet);
    return keySet;
  };
  try {
    if (!isLeafOf(leaf, server.keySet, origin)) await learnKeySet(server.keySet.epoch + 1);
    // Before the first call: that the server closes the connection is heard by nobody else.
    await manager.connect();
    return { ...channel, learnKeySet, serverTime };
  } catch (failure) {
    channel[Symbol.dispose]();
    throw failure;
  }
}

/**
 * Opens a connection to a server of which only a pin is known, and proves on that connection that it is the one. What
 * is sent later goes over the same connection. Fails with `server.untrusted`, `server.unreachable`, `org.not_found`.
 */
export async function openPinnedChannel(
  origin: string,
  pin: Uint8Array,
  signal?: AbortSignal,
): Promise<{ readonly channel: ServerChannel; readonly identity: ServerIdentity }> {
  const socket = await openSocket(origin, signal);
  const { channel, manager } = toChannel(origin, socket, []);
  try {
    const leaf = socket.getPeerX509Certificate();
    return { channel, identity: await fetchIdentity(manager, leaf, { origin, pin }) };
  } catch (failure) {
    channel[Symbol.dispose]();
    throw failure;
  }
}

/** Asks the server who it is, and holds the answer to the pin and to the connection that it came on. */
async function fetchIdentity(
  manager: Http2SessionManager,
  leaf: X509Certificate | undefined,
  { origin, pin }: { readonly origin: string; readonly pin: Uint8Array },
): Promise<ServerIdentity> {
  if (leaf === undefined) throw new Problem("server.untrusted");
  const tlsSpkiSha256 = sha256(leaf.publicKey.export({ type: "spki", format: "der" }));
  const nonce = base64url(systemRandom.bytes(NONCE_BYTES));
  const answer = await getJson(manager, `/.well-known/gatehouse?nonce=${nonce}&pin=${base64url(pin)}`);
  return checkWellKnown(answer, { origin, nonce, pin, tlsSpkiSha256 });
}

function toChannel(
  origin: string,
  socket: TLSSocket,
  interceptors: readonly Interceptor[],
): { channel: ServerChannel; manager: Http2SessionManager } {
  let isTaken = false;
  const createConnection = () => {
    // A second connection would be one that nobody verified.
    if (isTaken || socket.destroyed) throw new Problem("server.unreachable", { detail: "The connection was lost." });
    isTaken = true;
    return socket;
  };
  const manager = new Http2SessionManager(origin, {}, { createConnection });
  const closed = new Promise<void>((resolve) => void socket.once("close", () => resolve()));
  socket.on("error", () => undefined);
  const transport = createGrpcTransport({
    baseUrl: origin,
    sessionManager: watched(manager),
    interceptors: [...interceptors, problemsOf],
    defaultTimeoutMs: REQUEST_TIMEOUT_MS,
  });
  const dispose = () => {
    manager.abort();
    socket.destroy();
  };
  const postForm = async (path: string, fields: Readonly<Record<string, string>>) => {
    const { status, text } = await exchange(manager, path, new URLSearchParams(fields).toString());
    return { status, body: parseJson(text) };
  };
  return { channel: { transport, closed, postForm, [Symbol.dispose]: dispose }, manager };
}

type SessionManager = Pick<Http2SessionManager, "authority" | "request" | "notifyResponseByteRead">;

/** The manager, whose one connection is cut when the server vanished, from the first call on. */
function watched(manager: Http2SessionManager): SessionManager {
  let isWatched = false;
  return {
    authority: manager.authority,
    request: async (...call: Parameters<SessionManager["request"]>) => {
      const stream = await manager.request(...call);
      if (!isWatched && stream.session !== undefined) watch(stream.session);
      isWatched = true;
      return stream;
    },
    notifyResponseByteRead: (stream) => manager.notifyResponseByteRead(stream),
  };
}

function watch(session: Http2Session): void {
  const peers = new SilentPeers(SILENCE.ofOpener);
  peers.watch(session);
  session.once("close", () => peers[Symbol.dispose]());
}

async function getJson(manager: Http2SessionManager, path: string): Promise<unknown> {
  const { status, text } = await exchange(manager, path);
  if (status === 404) throw new Problem("org.not_found", { detail: "The server does not know the code's pin." });
  if (status !== 200) throw new Problem("server.unreachable", { detail: `It answered ${status}.` });
  const answer = parseJson(text);
  if (answer === undefined) throw notGatehouse();
  return answer;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // Whoever asked says what it means that there is no answer.
    return undefined;
  }
}

/** One request over the connection: a form where there is one. */
async function exchange(manager: Http2SessionManager, path: string, form?: string) {
  const headers = { "content-type": "application/x-www-form-urlencoded" };
  const stream = await manager.request(
    form === undefined ? "GET" : "POST",
    path,
    form === undefined ? {} : headers,
    {},
  );
  stream.setTimeout(REQUEST_TIMEOUT_MS, () => stream.destroy(new Problem("server.timeout")));
  // The loop below reports a failure; one that comes after it, at the connection's end, is nobody's.
  stream.on("error", () => undefined);
  let status = 0;
  stream.once("response", (answer) => {
    status = Number(answer[":status"]);
  });
  if (form !== undefined) stream.end(form);
  const chunks: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const chunk of stream) {
      bytes += (chunk as Buffer).length;
      if (bytes > MAX_ANSWER_BYTES) throw new Problem("server.untrusted", { detail: "Its answer is too long." });
      chunks.push(chunk as Buffer);
    }
    return { status, text: Buffer.concat(chunks).toString() };
  } catch (cause) {
    throw cause instanceof Problem ? cause : notGatehouse(cause);
  } finally {
    stream.close();
  }
}

function notGatehouse(cause?: unknown): Problem {
  return new Problem("server.unreachable", { detail: "It does not answer as a Gatehouse server.", cause });
}
