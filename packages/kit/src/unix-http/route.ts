import type { IncomingMessage, ServerResponse } from "node:http";
import type { PeerCredentials } from "../native/native.ts";

/** One request as a handler sees it. */
export interface ApiRequest {
  /** What stands where the route's path says `{name}`, decoded; `rest` where it ends in `/**`. */
  readonly params: Readonly<Record<string, string>>;
  readonly query: URLSearchParams;
  /** Parsed JSON; `undefined` when the request has no body. */
  readonly body: unknown;
  /** `undefined` where the host offers no native calls. */
  readonly peer: PeerCredentials | undefined;
  /** Aborts when the caller left or the server closes. */
  readonly signal: AbortSignal;
}

/**
 * `body` is sent as JSON; `lines` as one JSON value on a line each, as they come. A source of lines must end when the
 * request's signal aborts.
 */
export type ApiAnswer =
  | { readonly status: number; readonly body?: unknown }
  | { readonly status: number; readonly lines: AsyncIterable<unknown> };

/** Parses the body and renders the answer. What it throws leaves as `{error, code}` with the problem's status. */
export interface JsonRoute {
  /** Upper case. */
  readonly method: string;
  /** Segments, literal or `{name}`: `/v1/runs/{token}`. */
  readonly path: string;
  readonly handle: (request: ApiRequest) => ApiAnswer | Promise<ApiAnswer>;
}

/** Gets the exchange as it is, body unread: for proxying. What it throws before an answer began leaves as `{error, code}`. */
export interface RawRoute {
  /** Upper case, or `*` for any. */
  readonly method: string;
  /** As in `JsonRoute`; may end in `/**`, which matches any number of further segments, none included. */
  readonly path: string;
  readonly relay: (exchange: RawExchange) => void | Promise<void>;
}

export interface RawExchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly params: Readonly<Record<string, string>>;
  readonly signal: AbortSignal;
}

export type Route = JsonRoute | RawRoute;

/** A path pattern, ready to match. */
export interface PathMatcher {
  /** The parameters, or `undefined` when the path is another. */
  match(path: string): Readonly<Record<string, string>> | undefined;
}

/** Reads a route's path. A segment is compared after percent-decoding; one that cannot be decoded matches nothing. */
export function compilePath(pattern: string): PathMatcher {
  const segments = pattern.split("/").slice(1);
  const isOpen = segments.at(-1) === "**";
  const fixed = isOpen ? segments.slice(0, -1) : segments;
  return {
    match: (path) => {
      const sent = path.split("/").slice(1);
      if (isOpen ? sent.length < fixed.length : sent.length !== fixed.length) return undefined;
      const params: Record<string, string> = {};
      for (const [index, segment] of fixed.entries()) {
        if (!matchSegment(segment, decode(sent[index]), params)) return undefined;
      }
      if (isOpen) params.rest = sent.slice(fixed.length).join("/");
      return params;
    },
  };
}

function matchSegment(pattern: string, sent: string | undefined, params: Record<string, string>): boolean {
  if (sent === undefined) return false;
  const name = /^\{(\w+)\}$/.exec(pattern)?.[1];
  if (name === undefined) return pattern === sent;
  if (sent === "") return false;
  params[name] = sent;
  return true;
}

function decode(segment: string | undefined): string | undefined {
  if (segment === undefined) return undefined;
  try {
    return decodeURIComponent(segment);
  } catch {
    return undefined;
  }
}
