import type { AuditHead } from "@gatehouse/core";

/** Whose log a head is of: the node's own, or its organisation's. */
export type WitnessSubject = "node" | "org";

/** A head and a node's signature: over the head itself where the log is the node's, as its witness where it is not. */
export interface WitnessedHead extends AuditHead {
  readonly nodeId: string;
  readonly subject: WitnessSubject;
  /** The id that the head names. */
  readonly log: string;
  /** The node's identity key, Ed25519, 32 bytes. */
  readonly key: Uint8Array;
  readonly signature: Uint8Array;
}

/** The newest head of each log that each node signed, inside one transaction. Revoking a node takes none away. */
export interface WitnessRecords {
  /** Both of a node, where they are. */
  listOfNode(nodeId: string): Promise<readonly WitnessedHead[]>;
  /** Countersignatures of the organisation's heads, by node. */
  listOfOrg(): Promise<readonly WitnessedHead[]>;
  /** In place of the one before. */
  put(head: WitnessedHead): Promise<void>;
}
