import type { MerkleFrontier, SignedHead } from "@gatehouse/core";

/** How far a log is signed: what its next head builds on. */
export interface SignedLog {
  /** The id that its heads name. */
  readonly signedAs: string;
  /** Ed25519, 32 bytes: signs its heads. */
  readonly key: Uint8Array;
  /** Over the entries that the newest head covers. */
  readonly tree: MerkleFrontier;
  /** Since when its writer sends another log than before; `undefined`: it does not. Unix milliseconds. */
  readonly forkedAt: number | undefined;
}

/** One entry as it is hashed. */
export interface StoredEntry {
  readonly seq: number;
  /** RFC 8785 JSON. */
  readonly text: string;
}

export interface NewEntry extends StoredEntry {
  readonly time: number;
  readonly kind: string;
}

/** Part of a log, by entry numbers; `to` is not included. */
export interface EntryRange {
  readonly from: number;
  readonly to: number;
}

/** The logs of one organisation: its own, under its id, and its nodes' copies, under theirs. */
export interface AuditLogRecords {
  /** Other writers of the organisation's logs wait until this transaction ends. */
  lock(): Promise<void>;
  find(logId: string): Promise<SignedLog | undefined>;
  /** Entries that stand, signed or not. */
  size(logId: string): Promise<number>;
  /** At most `limit`, in order. */
  entries(logId: string, range: EntryRange, limit: number): Promise<readonly StoredEntry[]>;
  /** Heads of sizes above `after`, the smallest first. */
  heads(logId: string, after: number, limit: number): Promise<readonly SignedHead[]>;
  head(logId: string, size: number): Promise<SignedHead | undefined>;
  /** The newest, of at most `upTo` entries where that is given. */
  newestHead(logId: string, upTo?: number): Promise<SignedHead | undefined>;
  /** Peaks of the tree that the head of this size covers; `undefined`: there is none, or they were not kept. */
  peaks(logId: string, size: number): Promise<readonly Uint8Array[] | undefined>;
  insertEntries(logId: string, entries: readonly NewEntry[]): Promise<void>;
  /** With `peaks`, later heads can be proven to continue it without reading what it covers. */
  insertHead(logId: string, head: SignedHead, peaks?: readonly Uint8Array[]): Promise<void>;
  save(logId: string, log: SignedLog): Promise<void>;
  /** Removes the last entries of a log, `limit` at most and none before `size`; whether there are more behind it. */
  removeBehind(logId: string, size: number, limit: number): Promise<boolean>;
}
