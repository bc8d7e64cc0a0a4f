import type { Node } from "../nodes/node-records.ts";

/** What a node must let go of, at the generation that lets go of it. */
export interface Revocation {
  readonly epoch: number;
  readonly generation: number;
  /** Of credentials. */
  readonly ids: readonly string[];
}

/** Revocations that a node has not applied yet, inside one transaction. */
export interface RevocationRecords {
  /** Adds one for each node, at the node's present epoch and generation, and forgets those that they have applied. */
  addAll(nodes: readonly Node[], ids: readonly string[]): Promise<void>;
  /** Of these nodes, those that have some, each with its own, oldest first. */
  listUnapplied(nodeIds: readonly string[]): Promise<ReadonlyMap<string, readonly Revocation[]>>;
}
