/** What a node must let go of, at the generation that lets go of it. */
export interface Revocation {
  readonly epoch: number;
  readonly generation: number;
  /** Of credentials. */
  readonly ids: readonly string[];
}

/** Revocations that a node has not applied yet, inside one transaction. */
export interface RevocationRecords {
  /** Adds one, and forgets those that the node has applied. */
  add(nodeId: string, revocation: Revocation, appliedGeneration: number): Promise<void>;
  /** Those beyond a generation, oldest first. */
  listOfNode(nodeId: string, afterGeneration: number): Promise<readonly Revocation[]>;
}
