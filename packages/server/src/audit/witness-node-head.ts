import {
  type AuditHead,
  auditKeyId,
  canonicalJson,
  constantTimeEqual,
  headBytes,
  type SignedHead,
} from "@gatehouse/core";
import { sha256, verifySignature } from "@gatehouse/kit";
import type { AuditFault, Node, NodeRecords } from "../nodes/node-records.ts";
import type { EventRecords } from "../reports/event-records.ts";
import type { AuditLogRecords } from "./audit-log-records.ts";
import type { AuditTrail } from "./audit-trail.ts";
import type { WitnessedHead, WitnessRecords } from "./witness-records.ts";

export interface FaultTransaction {
  readonly audit: AuditTrail;
  readonly events: EventRecords;
  readonly nodes: Pick<NodeRecords, "update">;
}

export interface WitnessTransaction extends FaultTransaction {
  readonly auditLogs: Pick<AuditLogRecords, "head" | "newestHead">;
  readonly witnesses: WitnessRecords;
}

/** What a heartbeat says of the node's own log. */
export interface SaidHead {
  readonly log: string;
  readonly head: SignedHead;
  /** When the heartbeat was made, by the clock that the head was signed by. */
  readonly sentAt: number;
}

/** A heartbeat that was made before a newer head was signed may arrive after one that names it. */
const LATE_MS = 10_000;

/**
 * Compares where a node says that its log stands with what was seen and copied of it before. A log that ends earlier, or
 * is another, is on record once, and shown until it is again the one that the node signed. A head that was seen is kept
 * until the copy has reached it: between two heartbeats no other log can take its place. Answers the head that is kept.
 */
export async function witnessNodeHead(
  tx: WitnessTransaction,
  node: Node,
  { said, known }: { readonly said: SaidHead; readonly known: WitnessedHead | undefined },
): Promise<WitnessedHead | undefined> {
  const copied = await tx.auditLogs.newestHead(node.id);
  const { log, head } = said;
  const seen = Math.max(known?.size ?? 0, copied?.size ?? 0);
  const fault = await judge(tx, { node, said, known, copied });
  if (fault !== undefined) {
    await noteFault(tx, node, { fault, said: head.size, seen });
    return known;
  }
  if (head.size === seen) await clearFault(tx, node);
  else if (node.auditFault !== undefined) return known;
  const isNew = known === undefined || (head.size > known.size && (copied?.size ?? 0) >= known.size);
  if (!isNew) return known;
  const { size, root, time, signature } = head;
  const next = { nodeId: node.id, subject: "node", log, size, root, time, key: node.identityKey, signature } as const;
  await tx.witnesses.put(next);
  return next;
}

interface Case {
  readonly node: Node;
  readonly said: SaidHead;
  readonly known: WitnessedHead | undefined;
  readonly copied: SignedHead | undefined;
}

async function judge(tx: WitnessTransaction, { node, said, known, copied }: Case): Promise<AuditFault | undefined> {
  const { log, head, sentAt } = said;
  if (!isVerified(known, said) && !isSigned(node, log, head)) return "unproven";
  const isKnown = known === undefined || (known.log === log && agrees(known, head));
  if (!isKnown || !(await isInCopy(tx, node, { head, copied }))) return "forked";
  const isBehind = [known, copied].some(
    (one) => one !== undefined && head.size < one.size && sentAt > one.time + LATE_MS,
  );
  return isBehind ? "rewound" : undefined;
}

/** What the copy has come to, it has with every head that the node signed on the way. */
async function isInCopy(
  { auditLogs }: WitnessTransaction,
  { id }: Node,
  { head, copied }: { readonly head: SignedHead; readonly copied: SignedHead | undefined },
): Promise<boolean> {
  if (copied === undefined || head.size > copied.size) return true;
  const there = head.size === copied.size ? copied : await auditLogs.head(id, head.size);
  return there !== undefined && agrees(there, head);
}

/** Heads of one size are of one tree. */
function agrees(one: AuditHead, other: AuditHead): boolean {
  return one.size !== other.size || constantTimeEqual(one.root, other.root);
}

/** The head that is kept was verified when it came; most heartbeats say the same one again. */
function isVerified(known: WitnessedHead | undefined, { log, head }: SaidHead): boolean {
  return (
    known?.log === log &&
    known.size === head.size &&
    known.time === head.time &&
    constantTimeEqual(known.root, head.root) &&
    constantTimeEqual(known.signature, head.signature)
  );
}

function isSigned({ identityKey }: Node, log: string, head: SignedHead): boolean {
  const isNamed = head.keyId === auditKeyId(sha256, identityKey);
  return isNamed && verifySignature(identityKey, headBytes(log, head), head.signature);
}

interface Fault {
  readonly fault: AuditFault;
  /** Entries of what the node says now, and of what is known of its log. */
  readonly said: number;
  readonly seen: number;
}

/** Puts on record that a node's log is not what it signed, unless that is known. */
export async function noteFault(tx: FaultTransaction, node: Node, { fault, said, seen }: Fault): Promise<void> {
  if (node.auditFault === fault) return;
  await tx.nodes.update(node.id, { auditFault: fault });
  const kind = `node.audit_${fault}`;
  await tx.audit.append({ kind, actor: `node:${node.name}`, node: node.id, data: { said, seen } });
  await tx.events.append([{ kind, nodeId: node.id, data: canonicalJson({ name: node.name, said, seen }) }]);
}

/** The node's log is again the one that was witnessed: on record too. */
export async function clearFault(tx: FaultTransaction, node: Node): Promise<void> {
  if (node.auditFault === undefined) return;
  await tx.nodes.update(node.id, { auditFault: null });
  const kind = "node.audit_resumed";
  await tx.audit.append({ kind, actor: `node:${node.name}`, node: node.id, data: { was: node.auditFault } });
  await tx.events.append([{ kind, nodeId: node.id, data: canonicalJson({ name: node.name }) }]);
}
