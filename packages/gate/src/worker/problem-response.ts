import { PROBLEMS, type ProblemCode } from "@gatehouse/core";
import { field } from "../http1/fields.ts";
import { serialiseResponseHead } from "../http1/serialise.ts";
import type { Refusal } from "../pipeline/request-context.ts";

const REASONS: Readonly<Record<number, string>> = {
  400: "Bad Request",
  403: "Forbidden",
  404: "Not Found",
  407: "Proxy Authentication Required",
  500: "Internal Server Error",
  502: "Bad Gateway",
  503: "Service Unavailable",
  504: "Gateway Timeout",
};

/** Refusals that may be gone a moment later; an agent that meets another one should stop. */
const PASSING: ReadonlySet<ProblemCode> = new Set([
  "gate.credential_unavailable",
  "gate.upstream_unreachable",
  "gate.upstream_timeout",
  "gate.overloaded",
  "gate.audit_unavailable",
]);

/** A refusal as the client reads it. */
export interface ProblemAnswer {
  readonly refusal: Refusal;
  readonly host: string | undefined;
  /** Whether the connection goes on behind the answer. */
  readonly keepsOpen: boolean;
  /** The request was HEAD: the head alone goes out. */
  readonly isHead?: boolean;
}

/** The bytes of an `application/problem+json` answer, written so that an agent understands and stops. */
export function problemResponse({ refusal, host, keepsOpen, isHead }: ProblemAnswer): Buffer {
  const { http: status, say } = PROBLEMS[refusal.code];
  const body = Buffer.from(
    `${JSON.stringify({
      type: `urn:gatehouse:problem:${refusal.code}`,
      title: say,
      status,
      detail: refusal.detail,
      code: refusal.code,
      rule: refusal.rule,
      host,
      allow_hint: refusal.allowHint,
      retry: PASSING.has(refusal.code),
    })}\n`,
  );
  const fields = [
    field("Content-Type", "application/problem+json"),
    field("Content-Length", String(body.length)),
    field("Cache-Control", "no-store"),
    field("X-Gatehouse-Denied", refusal.code),
    ...(status === 407 ? [field("Proxy-Authenticate", 'Basic realm="gatehouse"')] : []),
    ...(keepsOpen ? [] : [field("Connection", "close")]),
  ];
  const head = serialiseResponseHead({ status, reason: REASONS[status] ?? "Refused", fields });
  return isHead ? head : Buffer.concat([head, body]);
}
