import type { SignedRoster } from "@gatehouse/kit";

/** The organisation's roster inside one transaction. A few versions before the newest are kept. */
export interface RosterRecords {
  newest(): Promise<SignedRoster | undefined>;
  /** What tells the newest from all others, without reading it. */
  newestHead(): Promise<Pick<SignedRoster, "version" | "issuedAt"> | undefined>;
  /** Fails with `roster.conflict` when the version is there. */
  insert(roster: SignedRoster): Promise<void>;
}
