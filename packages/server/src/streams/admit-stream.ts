import { Problem } from "@gatehouse/core";
import type { AuditTrail } from "../audit/audit-trail.ts";
import type { CommandRecords } from "../commands/command-records.ts";
import type { ServerKeys } from "../keys/server-keys.ts";
import type { Node } from "../nodes/node-records.ts";
import { quarantineNode } from "../nodes/quarantine-node.ts";
import { CONNECTED_FOR_MS, reportLiveness } from "../nodes/take-heartbeat.ts";
import type { EventRecords } from "../reports/event-records.ts";
import { highestCounted, judgePosition, type NodePosition } from "./judge-position.ts";
import type { Counted, OwnStream, StreamTransaction } from "./own-stream.ts";

export interface AdmitTransaction extends StreamTransaction {
  readonly orgId: string;
  readonly audit: AuditTrail;
  readonly events: Pick<EventRecords, "append">;
  readonly commands: CommandRecords;
}

export interface AdmitInput extends OwnStream, NodePosition {
  readonly softwareVersion: string;
}

/**
 * Makes a stream the node's one: whoever held it before is fenced off, and what was sent there without an answer waits
 * again. A node that is not where it should be is put in quarantine, on record. Answers what is counted for it: what it
 * is to serve is of that generation. Fails with `auth.refused`.
 */
export async function admitStream(
  tx: AdmitTransaction,
  input: AdmitInput,
  keys: Pick<ServerKeys, "keySet">,
): Promise<Counted> {
  const { nodeId, streamId, fence, bootId, softwareVersion } = input;
  const node = await tx.nodes.lock(nodeId);
  const session = await tx.sessions.find(nodeId);
  if (node?.state !== "confirmed" || session?.fence !== fence) throw new Problem("auth.refused");
  const court = { orgId: tx.orgId, keys };
  const reason = node.quarantineReason === undefined ? judgePosition(node, input, court) : undefined;
  const boots = bootId === node.bootId ? {} : { bootId, previousBootId: node.bootId ?? null };
  const lastSeenAt = tx.now();
  const seen = { lastSeenAt, connectedUntil: lastSeenAt + CONNECTED_FOR_MS, softwareVersion };
  // What it serves and what it took was signed here: whatever comes next must be newer.
  const { generation, commandSeq } = reason?.endsWith("_ahead") ? highestCounted(node, input, court) : node;
  const proven = reason === undefined ? provenSeq(node, input) : {};
  const counted = { generation, commandSeq };
  await tx.nodes.update(nodeId, { ...boots, ...seen, ...proven, ...counted, streamId, liveness: "online" });
  await reportLiveness(tx, node, "online");
  if (reason !== undefined) await quarantineNode(tx, node, reason);
  await tx.commands.requeueSent(nodeId);
  return counted;
}

/** A node that was there once is never before it again, unless it lost its journal. */
function provenSeq(
  { epoch, acknowledgedSeq, quarantineReason }: Node,
  { lastCommand }: NodePosition,
): { readonly acknowledgedSeq?: number } {
  const isNews = lastCommand?.epoch === epoch && lastCommand.seq > acknowledgedSeq && quarantineReason === undefined;
  return isNews ? { acknowledgedSeq: lastCommand.seq } : {};
}

/** The stream is over; one that took its place meanwhile is left alone. */
export async function leaveStream(tx: StreamTransaction, { nodeId, streamId }: OwnStream): Promise<void> {
  const node = await tx.nodes.lock(nodeId);
  if (node?.streamId === streamId) await tx.nodes.update(nodeId, { streamId: null, connectedUntil: null });
}
