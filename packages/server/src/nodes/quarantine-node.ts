import { canonicalJson } from "@gatehouse/core";
import type { AuditTrail } from "../audit/audit-trail.ts";
import type { EventRecords } from "../reports/event-records.ts";
import type { QuarantineReason } from "../streams/judge-position.ts";
import type { Node, NodeRecords } from "./node-records.ts";

interface QuarantineTransaction {
  readonly audit: AuditTrail;
  readonly events: Pick<EventRecords, "append">;
  readonly nodes: NodeRecords;
}

/** Keeps commands and credentials from a node until an operator accepts it; on record. Whoever commits tells of the event. */
export async function quarantineNode(
  tx: QuarantineTransaction,
  { id, name }: Pick<Node, "id" | "name">,
  reason: QuarantineReason,
): Promise<void> {
  const kind = "node.quarantined";
  await tx.nodes.update(id, { quarantineReason: reason });
  await tx.audit.append({ kind, actor: "server", node: id, data: { reason } });
  await tx.events.append([{ kind, nodeId: id, data: canonicalJson({ name, reason }) }]);
}
