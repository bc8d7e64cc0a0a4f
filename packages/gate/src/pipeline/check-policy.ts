import type { PolicyDecision } from "@gatehouse/core";
import type { Refusal, RequestContext } from "./request-context.ts";

/** The run's policy allows this method and path on this host and port. */
export function checkPolicy(context: RequestContext): Refusal | undefined {
  const { run, host, port, head, path } = context;
  const decision = run.policy.decide({ host, port, method: head.method, path });
  context.rule = decision.rule;
  context.keepsClientAuth = decision.keepsClientAuth ?? false;
  return decision.action === "allow" ? undefined : policyRefusal(context, decision);
}

/** A policy's no, with what a person could do about it. */
export function policyRefusal({ host, port, head, path }: RequestContext, decision: PolicyDecision): Refusal {
  return {
    code: "gate.policy_denied",
    detail: decision.reason ?? "A rule of the run's policy denies it.",
    rule: decision.rule,
    allowHint: policyHint(decision, `${allowOption(host, port)}, or a rule for ${head.method} ${path}.`),
  };
}

/** What a person could do about a policy's no. What a rule denies stays denied, whatever else is allowed. */
export function policyHint({ rule }: PolicyDecision, ways: string): string {
  if (rule === "default") return `A person may allow it: ${ways}`;
  return `${rule} of the policy decided it, which --allow does not change.`;
}

/** The option that allows a place to a run. */
export function allowOption(host: string, port: number): string {
  return `gatehouse run --allow ${host}${port === 443 ? "" : `:${port}`} …`;
}
