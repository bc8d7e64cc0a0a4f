import { parseAuthority } from "@gatehouse/core";
import { getField } from "../http1/fields.ts";
import type { RequestHead } from "../http1/messages.ts";
import type { CompiledRun } from "../worker/compile-run.ts";
import { allowOption, policyHint } from "./check-policy.ts";
import type { Refusal } from "./request-context.ts";

/** Whether a tunnel may be opened: its authority has one reading and some request to it could be allowed. */
export function checkConnect(run: CompiledRun, head: RequestHead): Refusal | undefined {
  const authority = parseAuthority(head.target);
  if (authority === undefined) return { code: "gate.ambiguous_request", detail: "CONNECT names no host and port." };
  const stated = getField(head.fields, "host");
  const host = stated === undefined ? authority : parseAuthority(stated, authority.port);
  if (host?.host !== authority.host || host.port !== authority.port) {
    return { code: "gate.destination_mismatch", detail: "Host is not the authority of CONNECT." };
  }
  const decision = run.policy.decideConnect(authority.host, authority.port);
  if (decision.action === "allow") return undefined;
  return {
    code: "gate.policy_denied",
    detail: decision.reason ?? "A rule of the run's policy denies it.",
    rule: decision.rule,
    allowHint: policyHint(decision, allowOption(authority.host, authority.port)),
  };
}
