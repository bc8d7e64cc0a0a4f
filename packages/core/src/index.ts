export {
  type AuditEntry,
  type AuditEvent,
  encodeEntry,
  encodeUnnumbered,
  numberEntry,
  readCanonical,
  readEntry,
  type UnnumberedEntry,
} from "./audit/audit-entry.ts";
export {
  type AuditHead,
  auditKeyId,
  type CountersignedHead,
  encodeHead,
  headAsJson,
  headBytes,
  isHeadLine,
  readHead,
  type SignedHead,
  type Witness,
  witnessBytes,
} from "./audit/audit-head.ts";
export { AuditVerifier, type LogIdentity, readExportHeader, type VerifierDeps } from "./audit/audit-verifier.ts";
export { canonicalJson, type JsonValue, toCanonicalText } from "./audit/canonical-json.ts";
export {
  type Consistency,
  consistencyRanges,
  type Inclusion,
  inclusionRanges,
  ProofBuilder,
  peakRanges,
  rootOfInclusion,
  rootsOfConsistency,
} from "./audit/merkle-proofs.ts";
export { type Hash, hashLeaf, hashNode, type LeafRange, MerkleFrontier } from "./audit/merkle-tree.ts";
export { type Clock, systemClock } from "./clock.ts";
export { type AddressClass, classifyAddress, type DialVerdict, mayDial } from "./destination/address.ts";
export { type Cidr, cidrContains, parseCidr } from "./destination/cidr.ts";
export { type Authority, isIpAddress, normaliseHost, parseAuthority } from "./destination/host.ts";
export { base64url, fromBase64url } from "./encoding/base64url.ts";
export { encodeTuple, type TupleField } from "./encoding/signed-tuple.ts";
export { constantTimeEqual, escapeUnseen, fromHex, toHex } from "./encoding/text.ts";
export { type CodeKind, formatCode, type OneTimeCode, PIN_BYTES, parseCode } from "./fleet/codes.ts";
export { formatFingerprint, isFingerprint } from "./fleet/fingerprint.ts";
export {
  type AwaitedEnrollment,
  apiKeyTuple,
  awaitTuple,
  type EnrollmentClaim,
  enrollmentTuple,
  type Handshake,
  handshakeTuple,
} from "./fleet/handshake-tuples.ts";
export { type Roster, type RosterJoin, type RosterName, type RosterNode, rosterTuple } from "./fleet/roster-tuple.ts";
export {
  type BoundCredential,
  type CredentialBinding,
  credentialTuple,
  type ResealOrder,
  resealTuple,
  type SealedParts,
  sealedTuple,
} from "./fleet/sealing-tuples.ts";
export {
  bundleTuple,
  commandTuple,
  freshnessTuple,
  revocationTuple,
  type SignedCommand,
  type StateOfNode,
} from "./fleet/state-tuples.ts";
export {
  type KeySet,
  type KeyUse,
  keySetTuple,
  type NewOrg,
  newOrgTuple,
  pinTuple,
  setupPinTuple,
  type WellKnown,
  wellKnownTuple,
} from "./fleet/trust-tuples.ts";
export {
  isResourceName,
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
export { MessageQueue } from "./message-queue.ts";
export { nearestName } from "./nearest-name.ts";
export { type CompiledPolicy, compilePolicy, type PolicyRequest } from "./policy/compile-policy.ts";
export type { PolicyDecision } from "./policy/compile-rules.ts";
export { compareSpecificity, type HostPattern, matchHostPattern, parseHostPattern } from "./policy/host-pattern.ts";
export { type LintDeps, type LintFinding, type LintLevel, lintPolicy, pathOf } from "./policy/lint-policy.ts";
export { findInnerKey } from "./policy/parse-policy.ts";
export { type NormalisedPath, normalisePath, type PathAmbiguity } from "./policy/path.ts";
export { matchPath, type PathPattern, parsePathPattern } from "./policy/path-pattern.ts";
export type { HostRules, NetworkPolicyInput, PolicyAction, PolicyRule } from "./policy/policy-input.ts";
export {
  type LeftOut,
  type RefusedRequest,
  type SuggestedRule,
  type Suggestion,
  suggestRules,
} from "./policy/suggest-rules.ts";
export {
  isUnwritten,
  PROBLEMS,
  Problem,
  type ProblemCode,
  type ProblemOptions,
  type ProblemRow,
  toProblem,
} from "./problem.ts";
export { type Random, systemRandom } from "./random.ts";
export { Secret } from "./secret.ts";
export { makeUuid } from "./uuid.ts";
