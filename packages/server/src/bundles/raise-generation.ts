import type { Node, NodeRecords } from "../nodes/node-records.ts";

export interface RaiseTransaction {
  readonly nodes: NodeRecords;
}

/**
 * Gives nodes a next generation of their desired state, in the transaction of what changed it. Answers those that are
 * live, as they are then; whoever commits tells them by the bus.
 */
export async function raiseGeneration(tx: RaiseTransaction, nodeIds: Iterable<string>): Promise<readonly Node[]> {
  const raised: Node[] = [];
  // In one order, so that two that raise the same nodes do not wait for each other.
  for (const id of [...new Set(nodeIds)].sort()) {
    const node = await tx.nodes.lock(id);
    if (node === undefined) continue;
    const generation = node.generation + 1;
    await tx.nodes.update(id, { generation });
    raised.push({ ...node, generation });
  }
  return raised;
}
