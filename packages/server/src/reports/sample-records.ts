export interface StoredSample {
  readonly nodeId: string;
  readonly name: string;
  /** Empty: of the node as a whole. */
  readonly runId: string;
  readonly time: number;
  readonly value: number;
}

export interface TelemetryQuery {
  readonly nodeId: string;
  /** Empty: every name. */
  readonly name: string;
  readonly from: number;
  /** Not included. */
  readonly to: number;
  readonly limit: number;
}

/** Samples of nodes, many to a row. */
export interface SampleRecords {
  insert(samples: readonly StoredSample[]): Promise<void>;
  /** The oldest first. */
  list(query: TelemetryQuery): Promise<readonly StoredSample[]>;
  /** Forgets at most `limit` rows whose samples are all older than this. Returns how many. */
  removeBefore(time: number, limit: number): Promise<number>;
}
