import type { ProblemCode } from "@gatehouse/core";

/** What a person can do about a failure, where its own sentence does not say so. */
const NEXT_STEPS: Readonly<Partial<Record<ProblemCode, string>>> = {
  "credentials.unreadable": "gatehouse revoke NAME, then gatehouse grant SERVICE",
  "daemon.unreachable": "gatehouse up",
  "grants.not_found": "gatehouse credentials ls",
  "native.unavailable": "gatehouse doctor",
  "org.not_joined": "gatehouse login, or gatehouse org init",
  "policy.invalid": "gatehouse policy lint FILE",
  "runs.not_found": "gatehouse ls",
  "sandbox.unavailable": "gatehouse doctor",
  "state.unsafe_directory": "gatehouse doctor",
};

export function nextStep(code: ProblemCode): string | undefined {
  return NEXT_STEPS[code];
}
