import type { ProblemCode } from "@gatehouse/core";
import type { RequestHead } from "../http1/messages.ts";
import { parameterName } from "../pipeline/normalise-target.ts";
import type { RequestContext } from "../pipeline/request-context.ts";
import type { RunSnapshot } from "../snapshot/run-snapshot.ts";
import type { RequestRecord } from "../snapshot/worker-protocol.ts";

/** When a request began: wall clock for the record, monotonic for its duration. */
export interface Timing {
  readonly time: number;
  readonly startedMs: number;
}

/** What is known of a request when it ends. */
export interface Outcome {
  readonly nowMs: number;
  readonly status: number;
  readonly code: ProblemCode | undefined;
  readonly place: { readonly host: string; readonly port: number; readonly isTls: boolean };
  readonly run?: RunSnapshot | undefined;
  readonly head?: RequestHead | undefined;
  readonly context?: RequestContext | undefined;
  readonly bytesIn?: number | undefined;
  readonly bytesOut?: number | undefined;
}

/** The record of one request. Values of the query are left out: they may be secrets. */
export function recordOf(timing: Timing, outcome: Outcome): RequestRecord {
  const { run, head, context, code, status, place } = outcome;
  return {
    time: timing.time,
    run: run?.runId,
    agent: run?.agent,
    project: run?.project,
    method: head?.method ?? "",
    url: head === undefined ? "" : urlOf(head, place, context),
    host: place.host,
    port: place.port,
    status,
    duration_ms: Math.round((outcome.nowMs - timing.startedMs) * 1000) / 1000,
    bytes_in: outcome.bytesIn ?? 0,
    bytes_out: outcome.bytesOut ?? 0,
    grants: code === undefined ? (context?.grants ?? []) : [],
    decision: code === undefined ? "allowed" : status >= 500 || status === 0 ? "failed" : "denied",
    code,
    rule: context?.rule,
  };
}

const MAX_URL = 2_048;

function urlOf(head: RequestHead, place: Outcome["place"], context: RequestContext | undefined): string {
  if (head.method === "CONNECT") return head.target.slice(0, MAX_URL);
  if (context === undefined || context.path === "") return `${place.host}:${place.port}`.slice(0, MAX_URL);
  const names = context.query?.split("&").map((part) => encodeURIComponent(parameterName(part)));
  const query = names === undefined ? "" : `?${names.join("&")}`;
  const port = place.port === (place.isTls ? 443 : 80) ? "" : `:${place.port}`;
  return `${place.isTls ? "https" : "http"}://${place.host}${port}${context.path}${query}`.slice(0, MAX_URL);
}
