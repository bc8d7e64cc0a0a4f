import { type LookupAddress, lookup } from "node:dns";
import type { IncomingMessage } from "node:http";
import { type RequestOptions, request } from "node:https";
import type { LookupFunction } from "node:net";
import { getCACertificates } from "node:tls";
import { isIpAddress, mayDial, normaliseHost, Problem } from "@gatehouse/core";

export interface GuardedFetchOptions {
  /** Ranges beside public addresses that may be dialed; metadata and link-local addresses never are. */
  readonly addressRanges: readonly string[];
  /** PEM of authorities that are trusted beside the usual ones. */
  readonly authoritiesPem?: string | undefined;
}

export interface GuardedRequest {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Like `fetch`, for URLs that a person set. */
export type GuardedFetch = (url: string, asked?: GuardedRequest) => Promise<Response>;

const TIMEOUT_MS = 30_000;
const MAX_ANSWER_BYTES = 1_048_576;
/** Answers that carry no body (Fetch standard). */
const NULL_BODY: ReadonlySet<number> = new Set([204, 205, 304]);

/**
 * Fetches https URLs that somebody configured without letting them lead into the server's own network: each address is
 * looked at before it is dialed, and the one that was looked at is dialed. Redirects are answers, never followed. Fails
 * with `url.forbidden`, `url.unreachable`.
 */
export function createGuardedFetch({ addressRanges, authoritiesPem }: GuardedFetchOptions): GuardedFetch {
  const usual = authoritiesPem === undefined ? undefined : getCACertificates("default");
  const trust = usual === undefined ? {} : { ca: [...usual, authoritiesPem ?? ""] };
  return async (text, { method = "GET", headers = {}, body, signal } = {}) => {
    const url = parseGuardedUrl(text, addressRanges);
    const own = { ...trust, method, lookup: lookupIn(addressRanges), agent: false, ...linked(signal) };
    const sent = body === undefined ? headers : { ...headers, "content-length": String(Buffer.byteLength(body)) };
    return toResponse(await send(url, { ...own, headers: sent }, body));
  };
}

function linked(signal: AbortSignal | undefined): { readonly signal?: AbortSignal } {
  return signal === undefined ? {} : { signal };
}

/** An https URL whose host, where it is an address, may be dialed. Fails with `url.forbidden`. */
function parseGuardedUrl(text: string, ranges: readonly string[]): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const host = url === undefined ? undefined : normaliseHost(url.hostname);
  if (url?.protocol !== "https:" || host === undefined || url.username !== "" || url.password !== "") {
    throw new Problem("url.forbidden");
  }
  // A lookup is asked for names alone.
  if (isIpAddress(host) !== 0) refuse(host, ranges);
  return url;
}

function refuse(address: string, ranges: readonly string[]): void {
  const verdict = mayDial(address, ranges);
  if (!verdict.ok) throw new Problem("url.forbidden", { detail: `Its address is of the kind: ${verdict.class}.` });
}

/** A name that has one forbidden address has none. */
function lookupIn(ranges: readonly string[]): LookupFunction {
  return (name, options, done) => {
    lookup(name, { ...options, all: true }, (failure, addresses) => {
      const fault = failure ?? faultOf(addresses, ranges);
      if (fault !== undefined) return done(fault, "");
      const [{ address, family } = { address: "", family: 0 }] = addresses;
      return options.all === true ? done(null, addresses) : done(null, address, family);
    });
  };
}

function faultOf(addresses: readonly LookupAddress[], ranges: readonly string[]): Error | undefined {
  try {
    for (const { address } of addresses) refuse(address, ranges);
    return addresses.length === 0 ? new Error("the name has no address") : undefined;
  } catch (refused) {
    return refused as Error;
  }
}

function send(url: URL, options: RequestOptions, body: string | undefined): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const sent = request(url, options, resolve);
    sent.setTimeout(TIMEOUT_MS, () => sent.destroy(new Error("it stays silent")));
    sent.once("error", (cause) => {
      reject(cause instanceof Problem ? cause : new Problem("url.unreachable", { cause }));
    });
    sent.end(body);
  });
}

async function toResponse(message: IncomingMessage): Promise<Response> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of message) {
    bytes += (chunk as Buffer).length;
    if (bytes > MAX_ANSWER_BYTES) {
      message.destroy();
      throw new Problem("url.unreachable", { detail: "Its answer is too long." });
    }
    chunks.push(chunk as Buffer);
  }
  const headers = new Headers();
  for (const [name, values] of Object.entries(message.headersDistinct)) {
    for (const value of values ?? []) headers.append(name, value);
  }
  const status = message.statusCode ?? 0;
  return new Response(NULL_BODY.has(status) ? null : Buffer.concat(chunks), { status, headers });
}
