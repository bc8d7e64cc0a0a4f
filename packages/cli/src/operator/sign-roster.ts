import { type Roster, rosterTuple } from "@gatehouse/core";
import type { SigningKey } from "@gatehouse/kit";

/** A version of the roster as it is handed over. */
export function signRoster(roster: Roster, key: SigningKey) {
  const signature = key.sign(rosterTuple(roster));
  const { nodes, operatorKeys } = roster;
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
    signer: key.publicKey,
    signature,
  };
}
