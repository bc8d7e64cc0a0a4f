import type { Roster } from "@gatehouse/core";

/** A version of the roster with whoever signed it. */
export interface SignedRoster extends Roster {
  /** Ed25519: the org key, or an operator key of the version before. */
  readonly signer: Uint8Array;
  readonly signature: Uint8Array;
}

/** The organisation's roster inside one transaction. Old versions stay. */
export interface RosterRecords {
  newest(): Promise<SignedRoster | undefined>;
  /** Fails with `roster.conflict` when the version is there. */
  insert(roster: SignedRoster): Promise<void>;
}
