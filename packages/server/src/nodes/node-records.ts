import type { Liveness } from "./liveness.ts";

/**
 * What is wrong with a node's log. `rewound`: it ends before a head that the node signed. `forked`: it is not the log
 * that the node signed. `unproven`: its head is not signed by the node.
 */
export type AuditFault = "rewound" | "forked" | "unproven";

/** A credential of its bundle that a node refuses while it serves the others. */
export interface RefusedCredential {
  readonly id: string;
  /** What it claims to be called; empty: nothing that is a name. */
  readonly name: string;
  /** Of the problem that it is refused with. */
  readonly code: string;
}

export type NodeHealth = "ok" | "degraded";
export type NodeState = "pending" | "confirmed" | "revoked";

/** One enrolled host, or one that asks to be. */
export interface Node {
  readonly id: string;
  readonly name: string;
  readonly state: NodeState;
  readonly identityKey: Uint8Array;
  readonly encryptionKey: Uint8Array;
  readonly caKey: Uint8Array;
  readonly labels: Readonly<Record<string, string>>;
  readonly isCordoned: boolean;
  readonly epoch: number;
  readonly generation: number;
  readonly appliedGeneration: number;
  readonly commandSeq: number;
  readonly acknowledgedSeq: number;
  readonly createdAt: number;
  readonly lastSeenAt: number | undefined;
  readonly softwareVersion: string;
  readonly bootId: string | undefined;
  readonly runCount: number;
  readonly quarantineReason: string | undefined;
  /** The boot before the present one. */
  readonly previousBootId: string | undefined;
  /** As the last event said. */
  readonly liveness: Liveness | undefined;
  /** Of its open control stream; `undefined`: none. */
  readonly streamId: string | undefined;
  /** Until when the stream counts as open without a further word of its owner. */
  readonly connectedUntil: number | undefined;
  /** As its last heartbeat said; `undefined` before the first. */
  readonly health: NodeHealth | undefined;
  /** Bytes of telemetry that wait there. */
  readonly spoolDepth: number;
  /** When it was heard first that `appliedGeneration` is served. */
  readonly appliedAt: number | undefined;
  /** What is wrong with its audit log. */
  readonly auditFault: AuditFault | undefined;
  /** As its last heartbeat said. */
  readonly refusedCredentials: readonly RefusedCredential[];
}

/** What may change of a node. `isDeleted` frees its name and keys. */
export interface NodeChange {
  readonly name?: string;
  readonly state?: NodeState;
  readonly labels?: Readonly<Record<string, string>>;
  readonly isCordoned?: boolean;
  readonly generation?: number;
  readonly appliedGeneration?: number;
  readonly commandSeq?: number;
  readonly acknowledgedSeq?: number;
  readonly lastSeenAt?: number;
  readonly softwareVersion?: string;
  readonly bootId?: string;
  readonly runCount?: number;
  readonly quarantineReason?: string | null;
  readonly epoch?: number;
  readonly previousBootId?: string | null;
  readonly liveness?: Liveness;
  readonly streamId?: string | null;
  readonly connectedUntil?: number | null;
  readonly health?: NodeHealth;
  readonly spoolDepth?: number;
  readonly appliedAt?: number;
  readonly auditFault?: AuditFault | null;
  readonly refusedCredentials?: readonly RefusedCredential[];
  readonly isDeleted?: true;
}

/** The node's id, and its place in the order of its commands. */
export type CommandPosition = Pick<Node, "id" | "epoch" | "commandSeq" | "acknowledgedSeq">;

export interface NodeFilter {
  readonly state?: NodeState | undefined;
  readonly nameContains?: string | undefined;
  readonly labels?: Readonly<Record<string, string>>;
  /** The name after which the page begins. */
  readonly after?: string | undefined;
  readonly limit: number;
}

/** Confirmed nodes of one liveness, counted. */
export interface NodeTally {
  readonly liveness: Liveness | undefined;
  readonly nodes: number;
  /** Of them, those that serve an older generation than is desired. */
  readonly behind: number;
  readonly auditFaults: number;
  readonly spoolBytes: number;
}

/** Live nodes of the organisation inside one transaction; what was deleted is not there. */
export interface NodeRecords {
  /** Fails with `enroll.name_taken` or `enroll.key_enrolled`. */
  insert(
    node: Pick<Node, "id" | "name" | "identityKey" | "encryptionKey" | "caKey" | "labels" | "epoch">,
  ): Promise<void>;
  find(id: string): Promise<Node | undefined>;
  findAll(ids: readonly string[]): Promise<readonly Node[]>;
  /** The same, locked until the transaction ends. */
  lock(id: string): Promise<Node | undefined>;
  /** The same of many. */
  lockAll(ids: readonly string[]): Promise<readonly Node[]>;
  findByName(name: string): Promise<Node | undefined>;
  findByIdentity(identityKey: Uint8Array): Promise<Node | undefined>;
  /** Nodes that are stale or online and were last seen before a time, locked until the transaction ends. */
  lockQuiet(seenBefore: Readonly<Record<"stale" | "online", number>>): Promise<readonly Node[]>;
  /** Locks every confirmed node until the transaction ends: what concerns them all comes before what is said of it. */
  lockConfirmed(): Promise<void>;
  /**
   * Others that change what nodes are to serve wait until the transaction ends. Comes before any node is locked, and
   * those before the organisation's log: nobody waits in a circle.
   */
  lockDesired(): Promise<void>;
  list(filter: NodeFilter): Promise<readonly Node[]>;
  tally(): Promise<readonly NodeTally[]>;
  update(id: string, change: NodeChange): Promise<void>;
  /** Says of many at once how far they are in the order of their commands. */
  moveAll(positions: readonly CommandPosition[]): Promise<void>;
  /** Gives nodes their next generation. Answers those that are live, as they are then. */
  raiseGenerations(ids: readonly string[]): Promise<readonly Node[]>;
  /** Whatever is counted for a node from now on is of this epoch. */
  raiseEpoch(epoch: number): Promise<void>;
}
