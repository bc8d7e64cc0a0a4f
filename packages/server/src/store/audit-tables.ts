import type { Tenant, Time } from "./tenant-row.ts";

/** How far a log is signed. */
export interface AuditLogs extends Tenant {
  /** The organisation's id, or a node's for what it copied here. */
  log_id: string;
  /** The id that the log's heads name. */
  signed_as: string;
  /** Ed25519: signs its heads. */
  key: Uint8Array;
  /** Entries that the newest head covers. */
  size: number;
  /** Of the Merkle tree over them: 32 bytes each, the largest first. */
  peaks: Uint8Array;
  /** Since when a node sends a log that is not the one it sent before. */
  forked_at: Time | null;
}

/** Entries of an organisation's own log and of its nodes' copies. */
export interface AuditEntries {
  org_id: string;
  log_id: string;
  seq: number;
  time: Time;
  kind: string;
  /** The entry's RFC 8785 JSON, as it is hashed. */
  entry: string;
}

/** Copies of nodes' logs that are being written. */
export interface AuditCopies extends Tenant {
  node_id: string;
  writer: string;
}

export interface AuditHeads {
  org_id: string;
  log_id: string;
  size: number;
  root: Uint8Array;
  time: Time;
  key_id: string;
  signature: Uint8Array;
  /** Of the tree that it covers, 32 bytes each; null in nodes' copies, and in heads from before they were kept. */
  peaks: Uint8Array | null;
}

/** The newest head that a node signed of its own log, and the newest of its organisation's that it countersigned. */
export interface AuditWitnesses extends Tenant {
  node_id: string;
  subject: "node" | "org";
  log: string;
  size: number;
  root: Uint8Array;
  time: Time;
  key: Uint8Array;
  signature: Uint8Array;
}
