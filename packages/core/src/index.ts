export { type Clock, systemClock } from "./clock.ts";
export {
  type AddressClass,
  type Cidr,
  cidrContains,
  classifyAddress,
  type DialVerdict,
  mayDial,
  parseCidr,
} from "./destination/address.ts";
export { type Authority, isIpAddress, normaliseHost, parseAuthority } from "./destination/host.ts";
export { encodeTuple, type TupleField } from "./encoding/signed-tuple.ts";
export { constantTimeEqual, fromBase64url, fromHex, toBase64url, toHex } from "./encoding/text.ts";
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
export {
  type CompiledPolicy,
  compilePolicy,
  type PolicyDecision,
  type PolicyRequest,
} from "./policy/compile-policy.ts";
export { compareSpecificity, type HostPattern, matchHostPattern, parseHostPattern } from "./policy/host-pattern.ts";
export { matchPath, type NormalisedPath, normalisePath, type PathPattern, parsePathPattern } from "./policy/path.ts";
export type { HostRules, NetworkPolicyInput, PolicyAction, PolicyRule } from "./policy/policy-input.ts";
export { PROBLEMS, Problem, type ProblemCode, type ProblemOptions, type ProblemRow, toProblem } from "./problem.ts";
export { type Random, systemRandom } from "./random.ts";
export { Secret } from "./secret.ts";
