import type { Page } from "../page.ts";

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

/** Why a command was taken back before its end. */
export type WithdrawalReason =
  | "cancelled"
  | "key_revoked"
  | "session_ended"
  | "member_removed"
  | "role_changed"
  | "node_gone"
  | "taken_back";

export interface Withdrawal {
  /** As the audit log names whoever did it. */
  readonly by: string;
  readonly why: WithdrawalReason;
}

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
  /** The key or session it was given by; `undefined`: by a release that did not keep it. */
  readonly authority: string | undefined;
  /** `undefined`: nobody took it back. */
  readonly withdrawal: Withdrawal | undefined;
}

/** A command without what it carries. */
export type ListedCommand = Omit<StoredCommand, "payload" | "payloadSha256" | "result">;

/** One without an end, with how much it carries. */
export type OpenCommand = ListedCommand & { readonly payloadBytes: number };

export interface CommandFilter {
  /** `undefined`: of every node. */
  readonly nodeId: string | undefined;
  /** Those alone that have no end yet. */
  readonly isOpen: boolean;
}

/**
 * Which commands are taken back: one that was never sent; or whichever have no end of these, or of those that a node, a
 * member or a right has.
 */
export type WithdrawnCommands =
  | { readonly commandId: string }
  /** `wereSent`: whatever is known of it here, as after a backup was put back. */
  | { readonly commandIds: readonly string[]; readonly wereSent?: boolean }
  | { readonly nodeId: string }
  | { readonly actor: string }
  /** Those of this member too of which nobody kept what they were given by. */
  | { readonly authorities: readonly string[]; readonly actor: string };

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
  readonly authority?: string;
  /** Nobody took it back any more. */
  readonly withdrawal?: null;
}

/** What the commands of one call have in common. */
export type NewBatch = Pick<
  StoredCommand,
  "batchId" | "idempotencyKey" | "actor" | "kind" | "payload" | "payloadSha256" | "notAfter"
> & { readonly authority: string };

/** Under which a command goes out. */
export interface CommandPlace {
  readonly id: string;
  readonly epoch: number;
  readonly seq: number;
}

/** What became of a command. */
export interface CommandOutcome {
  readonly id: string;
  readonly state: CommandEnd;
  readonly message: string;
  readonly result: Uint8Array | null;
}

/** Unix milliseconds. */
export interface OverdueTimes {
  /** Of what was never sent. */
  readonly unsent: number;
  /** Of what was sent, once at least. */
  readonly sent: number;
}

export interface CrowdLimits {
  readonly all: number;
  readonly own: number;
  readonly actor: string;
}

/**
 * Commands of the organisation's nodes inside one transaction. Rows are held in the order of their ids, after the node
 * and before the organisation's log: transactions that concern the same ones wait for one another, never in a circle.
 */
export interface CommandRecords {
  /** Stores a command for each of these nodes, in the state `queued`. */
  insertAll(batch: NewBatch, commands: readonly Pick<StoredCommand, "id" | "nodeId">[]): Promise<void>;
  find(id: string): Promise<StoredCommand | undefined>;
  /** Of these, those that are there, as nobody else changes them until the transaction ends. */
  hold(ids: readonly string[]): Promise<readonly StoredCommand[]>;
  /** Of these nodes, those that were given under this key. */
  listByKey(nodeIds: readonly string[], idempotencyKey: string): Promise<readonly StoredCommand[]>;
  /** The same, as nobody else changes them until the transaction ends. */
  holdByKey(nodeIds: readonly string[], idempotencyKey: string): Promise<readonly StoredCommand[]>;
  listBatch(batchId: string): Promise<readonly StoredCommand[]>;
  /** How many of a batch have no end yet; who asks about many is told the limit. */
  countUnended(batchId: string, limit: number): Promise<number>;
  /** What waits to be sent to a node again, as nobody else changes it until the transaction ends. */
  holdUnanswered(nodeId: string): Promise<readonly StoredCommand[]>;
  /** The newest first, those before an id. */
  list(filter: CommandFilter, page: Page): Promise<readonly ListedCommand[]>;
  /** What these nodes have in their hands, and what waits for them, in the order in which it was given. */
  listOpen(nodeIds: readonly string[]): Promise<readonly OpenCommand[]>;
  /** Of these nodes, those for which more than `all` wait, or more than `own` of one who gave them. */
  listCrowded(nodeIds: readonly string[], limits: CrowdLimits): Promise<readonly string[]>;
  /** Of these nodes, those for which some wait. */
  listCommanded(nodeIds: readonly string[]): Promise<readonly string[]>;
  /** Those without an end whose time was over before, as nobody else changes them until the transaction ends. */
  holdOverdue(before: OverdueTimes, limit: number): Promise<readonly StoredCommand[]>;
  /** What was sent and not acknowledged waits again. */
  requeueSent(nodeId: string): Promise<void>;
  /** Forgets commands that ended before a time, not more than a limit. Answers how many. */
  removeEndedBefore(time: number, limit: number): Promise<number>;
  /**
   * Takes back what has no end yet, whoever is about to send it: what was never sent ends as `forbidden`, what was sent
   * once may have been done. Answers them as they are now.
   */
  withdraw(
    which: WithdrawnCommands,
    withdrawal: Withdrawal & { readonly message: string },
  ): Promise<readonly ListedCommand[]>;
  update(id: string, change: CommandChange): Promise<void>;
  /** Each of these goes out. */
  sendAll(places: readonly CommandPlace[]): Promise<void>;
  /** Each of these has its end. */
  endAll(outcomes: readonly CommandOutcome[]): Promise<void>;
}
