import type { SignedRoster } from "@gatehouse/kit";

/** The organisation's roster inside one transaction. Old versions stay. */
export interface RosterRecords {
  newest(): Promise<SignedRoster | undefined>;
  /** Fails with `roster.conflict` when the version is there. */
  insert(roster: SignedRoster): Promise<void>;
}
