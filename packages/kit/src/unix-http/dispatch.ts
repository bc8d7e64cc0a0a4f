import type { IncomingMessage, ServerResponse } from "node:http";
import { Problem, toProblem } from "@gatehouse/core";
import type { Log } from "../log/log.ts";
import type { PeerCredentials } from "../native/native.ts";
import { readJson } from "./read-json.ts";
import { compilePath, type JsonRoute, type PathMatcher, type Route } from "./route.ts";
import { sendAnswer, sendProblem } from "./send-answer.ts";

/** One request on its way to its route. */
export interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly peer: PeerCredentials | undefined;
  readonly signal: AbortSignal;
}

export interface DispatcherOptions {
  readonly routes: readonly Route[];
  readonly log: Log;
  readonly maxBodyBytes: number;
}

/**
 * Finds each request's route: an unknown path is 404, a known one with another method 405 with `Allow`. The first
 * route in the list that matches wins. Whatever a route throws is answered; what is no `Problem` is logged too.
 */
export function createDispatcher(options: DispatcherOptions): (exchange: Exchange) => Promise<void> {
  const table = options.routes.map((route) => ({ route, matcher: compilePath(route.path) }));
  return async (exchange) => {
    try {
      await dispatch(table, exchange, options.maxBodyBytes);
    } catch (failure) {
      if (exchange.response.destroyed) return;
      const problem = isAborted(failure, exchange.signal) ? new Problem("daemon.unreachable") : toProblem(failure);
      if (problem.code === "internal") {
        options.log.error("request failed", { method: exchange.request.method, failure: problem.cause });
      }
      refuse(exchange, problem);
    }
  };
}

/** The caller is still there, so it is the server that closes. */
function isAborted(failure: unknown, signal: AbortSignal): boolean {
  return signal.aborted && (failure === signal.reason || (failure instanceof Error && failure.name === "AbortError"));
}

interface TableRow {
  readonly route: Route;
  readonly matcher: PathMatcher;
}

async function dispatch(table: readonly TableRow[], exchange: Exchange, maxBodyBytes: number): Promise<void> {
  const { request, response, signal } = exchange;
  const target = parseTarget(request.url ?? "/");
  const { route, params } = findRoute(table, target.path, exchange);
  if ("relay" in route) {
    await route.relay({ request, response, params, signal });
    return;
  }
  const answer = await handleJson(route, { exchange, params, query: target.query, maxBodyBytes });
  await sendAnswer(response, answer, signal);
}

interface FoundRoute {
  readonly route: Route;
  readonly params: Readonly<Record<string, string>>;
}

interface JsonCall {
  readonly exchange: Exchange;
  readonly params: Readonly<Record<string, string>>;
  readonly query: URLSearchParams;
  readonly maxBodyBytes: number;
}

async function handleJson(route: JsonRoute, call: JsonCall): Promise<ReturnType<JsonRoute["handle"]>> {
  const { request, peer, signal } = call.exchange;
  const body = await readJson(request, call.maxBodyBytes);
  return route.handle({ params: call.params, query: call.query, body, peer, signal });
}

/** Origin form alone: anything else is not for a local API. */
function parseTarget(target: string): { readonly path: string; readonly query: URLSearchParams } {
  if (!target.startsWith("/")) throw new Problem("api.malformed", { detail: "The target is not a path." });
  const mark = target.indexOf("?");
  const path = mark === -1 ? target : target.slice(0, mark);
  return { path, query: new URLSearchParams(mark === -1 ? "" : target.slice(mark + 1)) };
}

function findRoute(table: readonly TableRow[], path: string, { request, response }: Exchange): FoundRoute {
  const method = request.method ?? "GET";
  const allowed: string[] = [];
  for (const { route, matcher } of table) {
    const params = matcher.match(path);
    if (params === undefined) continue;
    if (route.method === "*" || route.method === method) return { route, params };
    allowed.push(route.method);
  }
  if (allowed.length === 0) throw new Problem("api.unknown_path");
  response.setHeader("allow", [...new Set(allowed)].join(", "));
  throw new Problem("api.method_not_allowed");
}

/** What is left of a body that was not read would be taken for the next request: the connection ends instead. */
function refuse({ request, response }: Exchange, problem: Problem): void {
  if (!request.complete && !response.headersSent) response.setHeader("connection", "close");
  sendProblem(response, problem);
  if (!request.complete) request.resume();
}
