/** What may have become of a command. The last ones are ends. */
export type CommandState =
  | "queued"
  | "sent"
  | "ok"
  | "partial"
  | "bad_request"
  | "incapable"
  | "busy"
  | "forbidden"
  | "internal"
  | "expired"
  | "outcome_unknown";

/** A state that a command stays in. */
export type CommandEnd = Exclude<CommandState, "queued" | "sent">;

/** An instruction for one node, kept until long after its end. */
export interface StoredCommand {
  readonly id: string;
  readonly batchId: string;
  readonly nodeId: string;
  readonly idempotencyKey: string;
  readonly actor: string;
  readonly kind: string;
  /** A serialised `CommandPayload`, as it is hashed. */
  readonly payload: Uint8Array;
  readonly payloadSha256: Uint8Array;
  readonly notAfter: number;
  readonly state: CommandState;
  /** Under which it was last signed. */
  readonly epoch: number | undefined;
  readonly seq: number | undefined;
  readonly message: string;
  readonly result: Uint8Array | undefined;
  readonly createdAt: number;
  readonly finishedAt: number | undefined;
}

export interface CommandChange {
  readonly actor?: string;
  readonly batchId?: string;
  readonly notAfter?: number;
  readonly state?: CommandState;
  readonly epoch?: number;
  readonly seq?: number;
  readonly message?: string;
  readonly result?: Uint8Array | null;
  readonly finishedAt?: number | null;
}

/** What the commands of one call have in common. */
export type NewBatch = Pick<
  StoredCommand,
  "batchId" | "idempotencyKey" | "actor" | "kind" | "payload" | "payloadSha256" | "notAfter"
>;

export interface QueuePage {
  /** An id; empty: from the first on. */
  readonly after: string;
  readonly withoutActors: readonly string[];
  readonly limit: number;
}

export interface CrowdLimits {
  readonly all: number;
  readonly own: number;
  readonly actor: string;
}

/** Commands of the organisation's nodes inside one transaction. */
export interface CommandRecords {
  /** Stores a command for each of these nodes, in the state `queued`. */
  insertAll(batch: NewBatch, commands: readonly Pick<StoredCommand, "id" | "nodeId">[]): Promise<void>;
  find(id: string): Promise<StoredCommand | undefined>;
  /** Of these nodes, those that were given under this key. */
  listByKey(nodeIds: readonly string[], idempotencyKey: string): Promise<readonly StoredCommand[]>;
  listBatch(batchId: string): Promise<readonly StoredCommand[]>;
  /** How many of a batch have no end yet; who asks about many is told the limit. */
  countUnended(batchId: string, limit: number): Promise<number>;
  /** Those without an end, in the order in which they were given. */
  listOpen(nodeId: string, state: "queued" | "sent", limit: number): Promise<readonly StoredCommand[]>;
  /** The same of whoever gave them, for whichever nodes. */
  listOpenOf(actor: string, limit: number): Promise<readonly StoredCommand[]>;
  /** What waits for a node, in the order in which it was given, behind an id and without what some gave. */
  listQueued(nodeId: string, page: QueuePage): Promise<readonly StoredCommand[]>;
  /** How many a node has in its hands, by who gave them. */
  countSent(nodeId: string): Promise<ReadonlyMap<string, number>>;
  /** Of these nodes, those for which more than `all` wait, or more than `own` of one who gave them. */
  listCrowded(nodeIds: readonly string[], limits: CrowdLimits): Promise<readonly string[]>;
  /** Of these nodes, those for which some wait. */
  listCommanded(nodeIds: readonly string[]): Promise<readonly string[]>;
  /** Those without an end whose time was over before. */
  listOverdue(state: "queued" | "sent", notAfter: number, limit: number): Promise<readonly StoredCommand[]>;
  /** What was sent and not acknowledged waits again. */
  requeueSent(nodeId: string): Promise<void>;
  /** Forgets commands that ended before a time, not more than a limit. Answers how many. */
  removeEndedBefore(time: number, limit: number): Promise<number>;
  update(id: string, change: CommandChange): Promise<void>;
}
