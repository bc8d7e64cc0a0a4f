/** What an entry of the organisation's log is about. Times and sequence are the log's own. */
export interface OrgEvent {
  /** `node.registered`, `handshake.refused`, … */
  readonly kind: string;
  /** `operator:<name>`, `node:<name>`, `server`; the server's word. */
  readonly actor: string;
  readonly node?: string;
  readonly run?: string;
  /** Names, ids and numbers alone: never a value that somebody could use. */
  readonly data?: Readonly<Record<string, string | number | boolean | null>>;
}

/** Writes an entry in the transaction of what it reports: both stand, or neither. */
export interface AuditTrail {
  append(event: OrgEvent): Promise<void>;
  /** Entries that follow one another. */
  appendAll(events: readonly OrgEvent[]): Promise<void>;
}
