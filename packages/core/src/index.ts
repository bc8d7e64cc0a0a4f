export { type Clock, systemClock } from "./clock.ts";
export {
  type NameSegment,
  parseNameSegment,
  parseResourceName,
  parseRunId,
  type ResourceName,
  type RunId,
  toNameSegment,
} from "./ids.ts";
export { Lifetime } from "./lifetime.ts";
export { type LinkedSignal, linkSignals } from "./link-signals.ts";
export type { HostRules, NetworkPolicyInput, PolicyAction, PolicyRule } from "./policy/policy-input.ts";
export { PROBLEMS, Problem, type ProblemCode, type ProblemOptions, type ProblemRow, toProblem } from "./problem.ts";
export { type Random, systemRandom } from "./random.ts";
export { Secret } from "./secret.ts";
