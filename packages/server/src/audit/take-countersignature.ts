import {
  type AuditHead,
  base64url,
  canonicalJson,
  constantTimeEqual,
  headBytes,
  type SignedHead,
  witnessBytes,
} from "@gatehouse/core";
import { verifySignature } from "@gatehouse/kit";
import type { Node } from "../nodes/node-records.ts";
import type { EventRecords } from "../reports/event-records.ts";
import type { AuditLogRecords } from "./audit-log-records.ts";
import type { AuditTrail } from "./audit-trail.ts";
import type { WitnessedHead, WitnessRecords } from "./witness-records.ts";

export interface CountersignTransaction {
  readonly orgId: string;
  readonly audit: AuditTrail;
  readonly auditLogs: Pick<AuditLogRecords, "head" | "newestHead">;
  readonly events: Pick<EventRecords, "append">;
  readonly witnesses: WitnessRecords;
}

/** A head of the organisation's log that a node saw, and its signature over having seen it. */
export interface SeenHead {
  readonly head: SignedHead;
  readonly countersignature: Uint8Array;
}

export interface Countersigning {
  readonly seen: SeenHead;
  /** What the node countersigned before. */
  readonly known: WitnessedHead | undefined;
  /** Ed25519, 32 bytes: signs this server's heads. */
  readonly auditKey: Uint8Array;
}

/**
 * Keeps a node's countersignature. A head that this server's key signed and its log does not hold means that the log was
 * put back or replaced: that is on record, once for each node that says so. What is not signed by both is not heard.
 */
export async function takeCountersignature(
  tx: CountersignTransaction,
  node: Node,
  { seen: { head, countersignature }, known, auditKey }: Countersigning,
): Promise<void> {
  const { orgId } = tx;
  if (known !== undefined && isSame(known, head)) return;
  const isSigned =
    verifySignature(auditKey, headBytes(orgId, head), head.signature) &&
    verifySignature(node.identityKey, witnessBytes(node.id, orgId, head), countersignature);
  if (!isSigned) return;
  const isHeld = await holds(tx, head);
  // A heartbeat that was on its way for long says less than is known.
  if (isHeld && known !== undefined && known.size > head.size && (await holds(tx, known))) return;
  const { size, root, time } = head;
  const own = { nodeId: node.id, subject: "org", log: orgId, key: node.identityKey } as const;
  await tx.witnesses.put({ ...own, size, root, time, signature: countersignature });
  if (!isHeld) await reportContradiction(tx, node, head);
}

async function reportContradiction(tx: CountersignTransaction, node: Node, { size, root }: AuditHead): Promise<void> {
  const kind = "audit.contradicted";
  const newest = (await tx.auditLogs.newestHead(tx.orgId))?.size ?? 0;
  const data = { size, root: base64url(root), newest };
  await tx.audit.append({ kind, actor: `node:${node.name}`, node: node.id, data });
  await tx.events.append([{ kind, nodeId: node.id, data: canonicalJson({ name: node.name, ...data }) }]);
}

async function holds({ orgId, auditLogs }: CountersignTransaction, head: AuditHead): Promise<boolean> {
  const stored = await auditLogs.head(orgId, head.size);
  return stored !== undefined && isSame(stored, head);
}

function isSame(one: AuditHead, other: AuditHead): boolean {
  return one.size === other.size && one.time === other.time && constantTimeEqual(one.root, other.root);
}
