import { createHash } from "node:crypto";
import { toCanonicalText } from "@gatehouse/core";
import type { RegisteredRun } from "../registry/registered-run.ts";
import type { GateEvent } from "./gate-audit.ts";

/** What happens to a run. */
export type RunChange = "registered" | "ended" | "container_set" | "grant_withdrawn";

/** A change of a run. Of its policy the hash of what it was registered with, so that a change of policy is one on record. */
export function runEvent(change: RunChange, run: RegisteredRun, more: GateEvent["data"] = {}): GateEvent {
  const { runId, agent, project, grants, policy, isExposed, place } = run;
  const described = {
    exposed: isExposed,
    grants: grants.map(auditText),
    place: place.kind,
    policy_mode: policy.mode ?? "strict",
    policy_sha256: createHash("sha256").update(JSON.stringify(policy)).digest("hex"),
  };
  return {
    run: runId,
    agent: agent === undefined || project === undefined ? (agent ?? null) : `${project}.${agent}`,
    kind: `run.${change}`,
    data: { ...(change === "registered" ? described : {}), ...more },
  };
}

/** Text from a caller as an entry may hold it, bounded. */
export function auditText(text: string): string {
  return toCanonicalText(text.slice(0, 1_024));
}
