import type { SignedHead } from "@gatehouse/core";
import { auditKeyId } from "@gatehouse/core";
import { sha256 } from "@gatehouse/kit";
import type { AuditHead, Heartbeat } from "@gatehouse/wire";
import { Heartbeat_Health } from "@gatehouse/wire";
import type { ContinuedHead } from "../../audit/org-continuity.ts";
import type { SeenHead } from "../../audit/take-countersignature.ts";
import type { SaidHead } from "../../audit/witness-node-head.ts";
import type { WitnessedHead } from "../../audit/witness-records.ts";
import { toSafeNumber } from "../services/safe-number.ts";

/** What a heartbeat says of the node itself. */
export function readSigns({ runCount, bundleGeneration, health, spoolDepth, refusedCredentials }: Heartbeat) {
  return {
    runCount,
    appliedGeneration: toSafeNumber(bundleGeneration),
    health: health === Heartbeat_Health.DEGRADED ? "degraded" : "ok",
    spoolDepth: toSafeNumber(spoolDepth),
    refusedCredentials: refusedCredentials.map(({ id, name, problemCode }) => ({ id, name, code: problemCode })),
  } as const;
}

/** What it says of the node's own log; nothing while that is empty, or by a node that does not name it. */
export function readSaidHead({ auditHead, auditLog, sentAt }: Heartbeat): SaidHead | undefined {
  if (auditHead === undefined || auditLog === "") return undefined;
  return { log: auditLog, head: readHead(auditHead), sentAt: toSafeNumber(sentAt) };
}

/** What it says of the organisation's log. */
export function readSeenHead({ orgHeadSeen }: Heartbeat): SeenHead | undefined {
  if (orgHeadSeen?.head === undefined) return undefined;
  return { head: readHead(orgHeadSeen.head), countersignature: orgHeadSeen.countersignature };
}

function readHead({ size, time, root, keyId, signature }: AuditHead): SignedHead {
  return { size: toSafeNumber(size), time: toSafeNumber(time), root, keyId, signature };
}

export function describeContinued(continued: ContinuedHead | undefined) {
  if (continued === undefined) return {};
  return { orgAuditHead: describeHead(continued.head), orgConsistency: [...continued.proof] };
}

export function describeWitnessed(witnessed: WitnessedHead | undefined) {
  if (witnessed === undefined) return {};
  const keyId = auditKeyId(sha256, witnessed.key);
  return { auditHeadSeen: describeHead({ ...witnessed, keyId }), auditLogSeen: witnessed.log };
}

function describeHead({ size, root, time, keyId, signature }: SignedHead) {
  return { size: BigInt(size), root, time: BigInt(time), keyId, signature };
}
