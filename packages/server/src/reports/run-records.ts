/** `gone`: the node does not name it any more, and did not say how it ended. */
export type RunStateName = "starting" | "running" | "exited" | "gone";

/** A run as its node reported it last. */
export interface ReportedRun {
  readonly runId: string;
  readonly nodeId: string;
  readonly state: RunStateName;
  readonly project: string;
  readonly agent: string;
  readonly driver: string;
  readonly isExposed: boolean;
  readonly grants: readonly string[];
  /** Unix milliseconds, the node's. */
  readonly createdAt: number;
  readonly endedAt: number | undefined;
  readonly exitCode: number;
  /** When the node said so, by the server's clock. */
  readonly reportedAt: number;
}

export interface RunQuery {
  readonly nodeId: string | undefined;
  readonly includesEnded: boolean;
  /** The one of this id alone. */
  readonly runId?: string | undefined;
  /** The id of the run behind which the page begins; behind one that was forgotten there is nothing. */
  readonly after?: string | undefined;
  readonly limit: number;
}

/** Runs of an organisation. A run belongs to the node that reported it first, for ever. */
export interface RunRecords {
  /** Those of the ids that are known, whoever's. */
  find(runIds: readonly string[]): Promise<readonly ReportedRun[]>;
  /** The newest first. */
  list(query: RunQuery): Promise<readonly ReportedRun[]>;
  /** Writes what is said now; a run of another node is left alone. */
  put(runs: readonly ReportedRun[]): Promise<void>;
  /** Of a node's runs, those that have not ended. */
  liveIds(nodeId: string, limit: number): Promise<readonly string[]>;
  /** Forgets at most `limit` runs that ended before this. Returns how many. */
  removeEndedBefore(time: number, limit: number): Promise<number>;
}
