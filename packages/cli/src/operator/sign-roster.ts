import { type Roster, rosterTuple } from "@gatehouse/core";
import type { SignedRoster, SigningKey } from "@gatehouse/kit";

/** A next version of the roster. */
export function signRoster(roster: Roster, key: SigningKey): SignedRoster {
  return { ...roster, signer: key.publicKey, signature: key.sign(rosterTuple(roster)) };
}

/** A version as it is handed over. */
export function writeRoster({ nodes, operatorKeys, signer, signature, ...roster }: SignedRoster) {
  return {
    version: BigInt(roster.version),
    issuedAt: BigInt(roster.issuedAt),
    nodes: nodes.map(({ nodeId, identityKey, encryptionKey, caKey }) => ({
      nodeId,
      identityKey,
      encryptionKey,
      caKey,
    })),
    operatorKeys: [...operatorKeys],
    signer,
    signature,
  };
}
