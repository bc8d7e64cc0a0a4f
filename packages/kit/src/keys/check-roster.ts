import { constantTimeEqual, Problem, rosterTuple } from "@gatehouse/core";
import type { SignedRoster } from "./roster-document.ts";
import { isJoin, requireDescent, requireJoinsFormed } from "./roster-joins.ts";
import { verifySignature } from "./signing-key.ts";

/**
 * Whether a roster may follow another: the next version, signed by the org key or by an operator key of the version
 * before; operator keys change only under the org key, which may also sign over versions that are missing here: a server
 * that was put back from a backup knows older ones than its organisation. The same version passes when all of it is the
 * same: it was put already. Fails with `roster.conflict`, `roster.refused`, `roster.split`.
 */
export function checkRoster(next: SignedRoster, before: SignedRoster | undefined, orgKey: Uint8Array): "new" | "same" {
  if (before !== undefined && isSameVersion(next, before)) return "same";
  const step = next.version - (before?.version ?? 0);
  if (step < 1 || (step > 1 && !isSame(next.signer, orgKey))) throw new Problem("roster.conflict");
  requireSigned(next, before, orgKey);
  if (before !== undefined) requireDescent(next, before);
  return "new";
}

/** Whether the org key itself signed a roster: nobody else vouches where none is held yet. Fails with `roster.refused`. */
export function checkFirstRoster(roster: SignedRoster, orgKey: Uint8Array): void {
  requireSigned(roster, undefined, orgKey);
}

/**
 * Whether a roster may stand in the place of the one that is held, with versions in between missing or not: whoever
 * signs a later one was trusted by the one that is held. Where they are the same, the held one is what to go on with:
 * beside a signature that was copied anything may stand. Fails with `roster.refused` for an older one too, and with
 * `roster.split` for one that was signed apart from what is held.
 */
export function checkLaterRoster(next: SignedRoster, held: SignedRoster, orgKey: Uint8Array): "new" | "same" {
  if (next.orgId !== held.orgId) throw new Problem("roster.refused", { detail: "It is another organisation's." });
  if (next.version < held.version) throw new Problem("roster.refused", { detail: "It is older than the known one." });
  const isRival = next.version === held.version && !isSame(next.signature, held.signature);
  if (next.version === held.version && (!isRival || isSame(rosterTuple(next), rosterTuple(held)))) return "same";
  requireSigned(next, held, orgKey);
  if (isRival) throw new Problem("roster.split", { detail: "There are two of this version." });
  requireDescent(next, held);
  return "new";
}

/** Two versions of one roster become one by the org key alone: it says who stays, over both. */
function requireSigned(next: SignedRoster, before: SignedRoster | undefined, orgKey: Uint8Array): void {
  requireJoinsFormed(next);
  const byOrgKey = isSame(next.signer, orgKey);
  const byOperator = before?.operatorKeys.some((key) => isSame(key, next.signer)) ?? false;
  const mayOperator = byOperator && !isJoin(next) && hasSameOperators(next, before);
  if (!byOrgKey && !mayOperator) throw new Problem("roster.refused");
  if (!verifySignature(next.signer, rosterTuple(next), next.signature)) throw new Problem("roster.refused");
  const ids = new Set(next.nodes.map(({ nodeId }) => nodeId));
  if (ids.size !== next.nodes.length) throw new Problem("roster.refused", { detail: "A node stands on it twice." });
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
