import { PROBLEMS, type ProblemCode, parseAuthority } from "@gatehouse/core";
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

interface Place {
  readonly host: string;
  readonly port: number;
  readonly isTls: boolean;
}

/** What is known of a request when it ends. */
export interface Outcome {
  readonly nowMs: number;
  readonly status: number;
  readonly code?: ProblemCode;
  /** The rule that refused it, where it had no stages to pass. */
  readonly rule?: string | undefined;
  /** Absent when the request named none that could be read. */
  readonly place: Place | undefined;
  readonly run?: RunSnapshot | undefined;
  readonly head?: RequestHead | undefined;
  readonly context?: RequestContext | undefined;
  /** Absent when nothing was sent to the destination. */
  readonly exchange?: { readonly bytesIn: number; readonly bytesOut: number } | undefined;
}

/** The record of one request. Values of the query are left out: they may be secrets. */
export function recordOf(timing: Timing, outcome: Outcome): RequestRecord {
  const { run, head, context, code, status, exchange } = outcome;
  const place = outcome.place ?? placeOfConnect(head);
  return {
    time: timing.time,
    run: run?.runId,
    agent: run?.agent,
    project: run?.project,
    method: head?.method ?? "",
    url: head === undefined ? "" : urlOf(head, place, context),
    host: place?.host ?? "",
    port: place?.port ?? 0,
    status,
    duration_ms: Math.round((outcome.nowMs - timing.startedMs) * 1000) / 1000,
    bytes_in: exchange?.bytesIn ?? 0,
    bytes_out: exchange?.bytesOut ?? 0,
    grants: exchange === undefined ? [] : grantsOf(context),
    decision: decisionOf(code),
    code,
    rule: context?.rule ?? outcome.rule,
  };
}

function grantsOf(context: RequestContext | undefined): readonly string[] {
  return context?.carried.flatMap(({ grant }) => grant ?? []) ?? [];
}

/** A refused CONNECT has no tunnel yet; where it wanted to go is what its record is about. */
function placeOfConnect(head: RequestHead | undefined): Place | undefined {
  const authority = head?.method === "CONNECT" ? parseAuthority(head.target) : undefined;
  return authority === undefined ? undefined : { ...authority, isTls: true };
}

function decisionOf(code: ProblemCode | undefined): RequestRecord["decision"] {
  if (code === undefined) return "allowed";
  return PROBLEMS[code].http >= 500 ? "failed" : "denied";
}

const MAX_URL = 2_048;

function urlOf(head: RequestHead, place: Place | undefined, context: RequestContext | undefined): string {
  if (head.method === "CONNECT") return bounded(head.target);
  if (place === undefined) return "";
  const port = place.port === (place.isTls ? 443 : 80) ? "" : `:${place.port}`;
  const origin = `${place.isTls ? "https" : "http"}://${place.host.includes(":") ? `[${place.host}]` : place.host}${port}`;
  const names = context?.query?.split("&", MAX_URL).map((part) => encodeURIComponent(parameterName(part)));
  const query = names === undefined ? "" : `?${names.join("&")}`;
  return bounded(`${origin}${context?.path ?? ""}${query}`);
}

/** A part must not pass for the whole. */
function bounded(url: string): string {
  return url.length <= MAX_URL ? url : `${url.slice(0, MAX_URL - 1)}…`;
}
