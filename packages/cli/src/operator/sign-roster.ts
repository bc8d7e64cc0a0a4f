import { type Roster, rosterTuple } from "@gatehouse/core";
import type { SignedRoster, SigningKey } from "@gatehouse/kit";

/** A next version of the roster. */
export function signRoster(roster: Roster, key: SigningKey): SignedRoster {
  return { ...roster, signer: key.publicKey, signature: key.sign(rosterTuple(roster)) };
}
