/** The one session of a node. Tokens are there as their hash alone. */
export interface Session {
  readonly nodeId: string;
  readonly apiKeyId: string;
  /** Grows with each handshake. */
  readonly fence: number;
  readonly tokenSha256: Uint8Array;
  readonly expiresAt: number;
  /** The token before the last renewal, and until when it is good. */
  readonly previous: { readonly tokenSha256: Uint8Array; readonly until: number } | undefined;
}

/** Sessions of the organisation's nodes inside one transaction. */
export interface SessionRecords {
  find(nodeId: string): Promise<Session | undefined>;
  findAll(nodeIds: readonly string[]): Promise<readonly Session[]>;
  findByToken(tokenSha256: Uint8Array): Promise<Session | undefined>;
  /** Puts the session in place of the one that was found. */
  replace(before: Session | undefined, session: Session): Promise<void>;
  remove(nodeId: string): Promise<void>;
  removeAll(): Promise<void>;
}
