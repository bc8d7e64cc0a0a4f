/** What happened to a node or run, for whoever watches. */
export interface NewEvent {
  /** `node.online`, `run.exited`, … */
  readonly kind: string;
  readonly nodeId?: string;
  readonly runId?: string;
  /** RFC 8785 JSON of an object; never a secret. */
  readonly data: string;
}

export interface StoredEvent {
  /** From 1, in the order of commits, without a gap; counted for each organisation. */
  readonly cursor: number;
  /** Unix milliseconds, the server's. */
  readonly time: number;
  readonly kind: string;
  readonly nodeId: string | undefined;
  readonly runId: string | undefined;
  readonly data: string;
}

/** The events of one organisation. Whoever appends publishes `events` on the bus after the commit. */
export interface EventRecords {
  append(events: readonly NewEvent[]): Promise<void>;
  /** The cursor of the newest event; 0: there was none. */
  newestCursor(): Promise<number>;
  /** Events behind a cursor, the oldest first. */
  after(cursor: number, limit: number): Promise<readonly StoredEvent[]>;
  /** Forgets at most `limit` events that are older than this. Returns how many. */
  removeBefore(time: number, limit: number): Promise<number>;
}
