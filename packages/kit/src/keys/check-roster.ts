import { constantTimeEqual, Problem, rosterTuple } from "@gatehouse/core";
import type { SignedRoster } from "./roster-document.ts";
import { verifySignature } from "./signing-key.ts";

/**
 * Whether a roster may follow another: the next version, signed by the org key or by an operator key of the version
 * before; operator keys change only under the org key, which may also sign over versions that are missing here: a server
 * that was put back from a backup knows older ones than its organisation. The same version passes when all of it is the
 * same: it was put already. Fails with `roster.conflict` or `roster.refused`.
 */
export function checkRoster(next: SignedRoster, before: SignedRoster | undefined, orgKey: Uint8Array): "new" | "same" {
  if (before !== undefined && isSameVersion(next, before)) return "same";
  const byOrgKey = isSame(next.signer, orgKey);
  const step = next.version - (before?.version ?? 0);
  if (step < 1 || (step > 1 && !byOrgKey)) throw new Problem("roster.conflict");
  const byOperator = before?.operatorKeys.some((key) => isSame(key, next.signer)) ?? false;
  if (!byOrgKey && !(byOperator && hasSameOperators(next, before))) throw new Problem("roster.refused");
  if (!verifySignature(next.signer, rosterTuple(next), next.signature)) throw new Problem("roster.refused");
  const ids = new Set(next.nodes.map(({ nodeId }) => nodeId));
  if (ids.size !== next.nodes.length) throw new Problem("roster.refused", { detail: "A node stands on it twice." });
  return "new";
}

/** All of it: a signature that was copied says nothing of what stands beside it. */
function isSameVersion(next: SignedRoster, before: SignedRoster): boolean {
  const isSameSigned = isSame(next.signer, before.signer) && isSame(next.signature, before.signature);
  return isSameSigned && isSame(rosterTuple(next), rosterTuple(before));
}

function hasSameOperators(next: SignedRoster, before: SignedRoster | undefined): boolean {
  const old = before?.operatorKeys ?? [];
  return old.length === next.operatorKeys.length && old.every((key, index) => isSame(key, next.operatorKeys[index]));
}

function isSame(a: Uint8Array, b: Uint8Array | undefined): boolean {
  return b !== undefined && constantTimeEqual(a, b);
}
