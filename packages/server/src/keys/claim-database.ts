import { base64url, Problem } from "@gatehouse/core";
import { sha256 } from "@gatehouse/kit";
import type { ServerKeys } from "./server-keys.ts";

export interface InstallationFacts {
  fact(name: "identity_key" | "key_set"): Promise<string | undefined>;
  factOnce(name: "identity_key" | "key_set", value: string): Promise<string>;
  replaceFact(name: "key_set", before: string, value: string): Promise<boolean>;
}

/**
 * Holds the database to this server's keys: the first server writes them down, every replica must hold the same. Keys
 * of a higher epoch take over. Fails with `store.other_server`, `store.newer_epoch`.
 */
export async function claimDatabase(store: InstallationFacts, keys: ServerKeys): Promise<void> {
  const identity = base64url(keys.identityKey);
  if ((await store.factOnce("identity_key", identity)) !== identity) throw new Problem("store.other_server");
  const own = describe(keys);
  for (
    let stated = await store.factOnce("key_set", own);
    stated !== own;
    stated = await store.factOnce("key_set", own)
  ) {
    const epoch = epochOf(stated);
    if (epoch > keys.keySet.epoch) throw new Problem("store.newer_epoch", { detail: `It is ${epoch}.` });
    if (epoch === keys.keySet.epoch) throw new Problem("store.other_server", { detail: "They are of the same epoch." });
    await store.replaceFact("key_set", stated, own);
  }
}

/** Fails when another server took the database over with keys of its own. For health. */
export async function checkClaim(store: Pick<InstallationFacts, "fact">, keys: ServerKeys): Promise<void> {
  const stated = await store.fact("key_set");
  if (stated !== undefined && epochOf(stated) > keys.keySet.epoch) throw new Problem("store.newer_epoch");
}

/** Epoch and a hash of everything that replicas must have in common. */
function describe({ keySet, macKey }: ServerKeys): string {
  return `${keySet.epoch}.${base64url(sha256(keySet.signature, macKey))}`;
}

function epochOf(stated: string): number {
  return Number(stated.split(".")[0]);
}
