import { Problem } from "@gatehouse/core";
import type { AuditTrail } from "../audit/audit-trail.ts";
import { type EndTransaction, withdrawCommands } from "../commands/end-command.ts";
import type { CredentialRecords } from "../credentials/credential-records.ts";
import type { EnrollmentRecords } from "../enrollment/enrollment-records.ts";
import type { ApiKeyRecords } from "../orgs/org-records.ts";
import type { SessionRecords } from "../sessions/session-records.ts";
import type { NodeRecords } from "./node-records.ts";

export interface RetireTransaction extends EndTransaction {
  readonly audit: AuditTrail;
  readonly apiKeys: ApiKeyRecords;
  readonly nodes: NodeRecords;
  readonly enrollments: EnrollmentRecords;
  readonly sessions: SessionRecords;
  readonly credentials: CredentialRecords;
}

export interface RetireInput {
  readonly nodeId: string;
  readonly actor: string;
  readonly reason: "revoked" | "replaced" | "left";
}

/**
 * Ends a node: its keys and session open nothing any more, and its name and keys are free again. Whoever holds its
 * stream must be told after the commit. Answers the names of the credentials that it could open: they are to be changed
 * at their services. Fails with `nodes.not_found`.
 */
export async function retireNode(
  tx: RetireTransaction,
  { nodeId, actor, reason }: RetireInput,
): Promise<readonly string[]> {
  const node = await tx.nodes.lock(nodeId);
  if (node === undefined) throw new Problem("nodes.not_found");
  for (const { id } of await tx.apiKeys.listOfNode(nodeId)) await tx.apiKeys.revoke(id);
  await tx.sessions.remove(nodeId);
  const enrollment = await tx.enrollments.findByNode(nodeId);
  if (enrollment?.state === "awaiting_confirmation") await tx.enrollments.update(enrollment.id, { state: "cancelled" });
  if (enrollment?.sealed !== undefined) await tx.enrollments.update(enrollment.id, { sealed: null });
  const pending = await tx.credentials.markRotationPending(nodeId);
  await withdrawCommands(tx, { nodeId }, { by: actor, why: "node_gone" });
  await tx.nodes.update(nodeId, { state: "revoked", isDeleted: true });
  const data = { name: node.name, rotation_pending: pending.length };
  await tx.audit.append({ kind: `node.${reason}`, actor, node: nodeId, data });
  return pending.map(({ name }) => name);
}
