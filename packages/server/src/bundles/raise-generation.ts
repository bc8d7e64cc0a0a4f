import type { Node, NodeRecords } from "../nodes/node-records.ts";

export interface RaiseTransaction {
  readonly nodes: NodeRecords;
}

/**
 * Gives nodes a next generation of their desired state, in the transaction of what changed it. Answers those that are
 * live, as they are then; whoever commits tells them by the bus.
 */
export function raiseGeneration(tx: RaiseTransaction, nodeIds: Iterable<string>): Promise<readonly Node[]> {
  return tx.nodes.raiseGenerations([...new Set(nodeIds)]);
}
