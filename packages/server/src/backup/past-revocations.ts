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
 * Those of the ids of credentials that this server took back before it was put back from a backup, by its signatures of
 * then alone. What concerns none of them is not looked into: a node may show any number of signatures, and each costs.
 * `undefined`: some of it is not proven.
 */
export function provenIds(
  past: readonly PastRevocations[],
  ids: Iterable<string>,
  court: PastCourt,
): ReadonlySet<string> | undefined {
  const [open, proven] = [new Set(ids), new Set<string>()];
  for (const one of past) {
    const own = provenUnder(one, open, court);
    if (own === undefined) return undefined;
    for (const id of own) if (open.delete(id)) proven.add(id);
  }
  return proven;
}

function provenUnder(
  { keySet: said, revocations }: PastRevocations,
  open: ReadonlySet<string>,
  court: PastCourt,
): ReadonlySet<string> | undefined {
  const keySet = readKeySet(said, court.serverIdentityKey);
  if (keySet === undefined || keySet.epoch >= court.epoch) return undefined;
  const proven = new Set<string>();
  if (keySet.epoch <= court.leakedEpoch) return proven;
  for (const one of revocations) {
    const news = one.ids.filter((id) => open.has(id) && !proven.has(id));
    if (news.length > 0 && !(one.epoch === keySet.epoch && isRevocationOf({ ...court, keySet }, one))) return undefined;
    for (const id of news) proven.add(id);
  }
  return proven;
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
  for (const [id, name] of await tx.credentials.names()) {
    if (isRevoked(id)) told.push(...(await revokeCredential(tx, { actor: "server", name })));
  }
  return told;
}
