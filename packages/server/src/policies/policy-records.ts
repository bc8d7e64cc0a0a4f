/** What no run of the organisation's nodes may do otherwise. */
export interface Policy {
  readonly id: string;
  readonly name: string;
  /** RFC 8785 JSON of a network policy. */
  readonly document: string;
  readonly updatedAt: number;
}

/** The policies of the organisation inside one transaction. */
export interface PolicyRecords {
  list(): Promise<readonly Policy[]>;
  /** Stores a policy in place of the one of this name. */
  put(policy: Pick<Policy, "id" | "name" | "document">): Promise<void>;
  /** False when there was none. */
  remove(name: string): Promise<boolean>;
}
