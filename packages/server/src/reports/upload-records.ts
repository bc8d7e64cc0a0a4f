import type { TelemetryQuery } from "./sample-records.ts";

/** The two kinds of batches that nodes keep until they are acknowledged. */
export type UploadStream = "telemetry" | "events";

/** Where one source of a node goes on. */
export interface SourceOffset {
  readonly nodeId: string;
  readonly source: string;
  /** All before it are stored, or known to be lost. */
  readonly nextOffset: number;
}

/** Batches that a node had to drop. */
export interface UploadGap {
  readonly nodeId: string;
  readonly stream: UploadStream;
  readonly source: string;
  readonly firstOffset: number;
  readonly throughOffset: number;
  readonly batches: number;
  readonly bytes: number;
  /** Unix milliseconds, the node's. */
  readonly capturedAt: number;
}

export interface UploadRecords {
  /** Holds the nodes until the transaction ends: nobody else takes the same offsets. Returns those that are confirmed. */
  lockNodes(nodeIds: readonly string[]): Promise<ReadonlySet<string>>;
  offsets(stream: UploadStream, nodeIds: readonly string[]): Promise<readonly SourceOffset[]>;
  saveOffsets(stream: UploadStream, offsets: readonly SourceOffset[]): Promise<void>;
  insertGaps(gaps: readonly UploadGap[]): Promise<void>;
  /** What was dropped of telemetry in a time. */
  gaps(query: Omit<TelemetryQuery, "name">): Promise<readonly UploadGap[]>;
  /** Forgets gaps that are older than this. */
  removeGapsBefore(time: number, limit: number): Promise<number>;
}
