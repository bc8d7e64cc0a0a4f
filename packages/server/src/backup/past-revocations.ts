import { checkKeySet, isRevocationOf, type KeySetDocument, type SignedRevocation } from "@gatehouse/kit";
import { type RevokeCredentialTransaction, revokeCredential } from "../credentials/revoke-credential.ts";

/** What a node was told to let go of under one key set, as it kept it. */
export interface PastRevocations {
  readonly keySet: unknown;
  readonly revocations: readonly SignedRevocation[];
}

export interface PastCourt {
  readonly orgId: string;
  readonly nodeId: string;
  /** Signs key sets. */
  readonly serverIdentityKey: Uint8Array;
  /** This server's own; what is past was signed before. */
  readonly epoch: number;
  /** Whose keys others may have, and of all before: their signatures prove nothing. 0: none's. */
  readonly leakedEpoch: number;
}

/**
 * Ids of credentials that this server took back before it was put back from a backup, by its signatures of then alone.
 * `undefined`: some of it is not proven.
 */
export function provenIds(past: readonly PastRevocations[], court: PastCourt): ReadonlySet<string> | undefined {
  const proven = past.map((one) => provenUnder(one, court));
  return proven.includes(undefined) ? undefined : new Set(proven.flatMap((ids) => ids ?? []));
}

function provenUnder({ keySet: said, revocations }: PastRevocations, court: PastCourt): readonly string[] | undefined {
  const keySet = readKeySet(said, court.serverIdentityKey);
  if (keySet === undefined || keySet.epoch >= court.epoch) return undefined;
  if (keySet.epoch <= court.leakedEpoch) return [];
  const isOwn = (one: SignedRevocation) => one.epoch === keySet.epoch && isRevocationOf({ ...court, keySet }, one);
  return revocations.every(isOwn) ? revocations.flatMap(({ ids }) => ids) : undefined;
}

function readKeySet(said: unknown, identityKey: Uint8Array): KeySetDocument | undefined {
  try {
    return checkKeySet(said, identityKey);
  } catch {
    return undefined; // not this server's
  }
}

/** Takes credentials back again, whoever had put them back. Answers the nodes that are to be told. */
export async function revokeAgain(
  tx: RevokeCredentialTransaction,
  isRevoked: (id: string) => boolean,
): Promise<readonly string[]> {
  const told: string[] = [];
  for (const { id, name } of await tx.credentials.list()) {
    if (isRevoked(id)) told.push(...(await revokeCredential(tx, { actor: "server", name })));
  }
  return told;
}
