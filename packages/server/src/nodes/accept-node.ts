import { Problem } from "@gatehouse/core";
import { raiseGeneration } from "../bundles/raise-generation.ts";
import { type EndTransaction, endCommands } from "../commands/end-command.ts";
import type { NodeRecords } from "./node-records.ts";

interface AcceptTransaction extends EndTransaction {
  readonly nodes: NodeRecords;
}

/**
 * Ends a node's quarantine, on record. What was sent to it without an answer may have been done by a daemon whose
 * journal is gone: it is not sent again. Fails with `nodes.not_found`.
 */
export async function acceptNode(
  tx: AcceptTransaction,
  { nodeId, actor }: { readonly nodeId: string; readonly actor: string },
): Promise<void> {
  const node = await tx.nodes.lock(nodeId);
  if (node === undefined) throw new Problem("nodes.not_found");
  const end = { state: "outcome_unknown", message: "The node was accepted without its journal.", actor } as const;
  const unanswered = await tx.commands.holdUnanswered(nodeId);
  await endCommands(
    tx,
    unanswered.map((command) => ({ command, end })),
  );
  await tx.nodes.update(nodeId, { quarantineReason: null, acknowledgedSeq: 0, previousBootId: null });
  // A bundle that was made meanwhile holds no credential.
  await raiseGeneration(tx, [nodeId]);
  await tx.audit.append({
    kind: "node.accepted",
    actor,
    node: nodeId,
    data: { reason: node.quarantineReason ?? null },
  });
}
