import type { Clock, Random } from "@gatehouse/core";
import type { ServerConfig } from "../open-server.ts";
import { connectForMaintenance, requireDatabase } from "../store/open-store.ts";
import { openEpoch } from "./open-epoch.ts";

export interface RecoverOptions extends Pick<ServerConfig, "directory" | "store"> {
  /** Exported audit logs: what they say was revoked since is revoked again. */
  readonly auditFiles?: readonly string[];
  /** Somebody may have the working keys: what they signed is no proof any more of what this server took back. */
  readonly areKeysLeaked?: boolean;
}

/**
 * Opens a new epoch on a server that does not run: after its database was put back by other means, or when its working
 * keys may be known to others. Nodes follow by the identity key. Answers the epoch. Fails with `state.…`, `store.…`.
 */
export async function recoverServer(
  { directory, store: location, auditFiles = [], areKeysLeaked = false }: RecoverOptions,
  { clock, random }: { readonly clock: Clock; readonly random: Random },
): Promise<number> {
  requireDatabase(location);
  await using store = await connectForMaintenance(location, clock);
  const reason = areKeysLeaked ? "keys_leaked" : "recovered";
  return await openEpoch({ directory, store, now: () => clock.now(), random, reason, auditFiles });
}
