import type { Clock, Random } from "@gatehouse/core";
import { claimDatabase } from "./keys/claim-database.ts";
import { openServerKeys } from "./keys/server-keys.ts";
import type { ServerConfig } from "./open-server.ts";
import { makeSetupCode } from "./orgs/setup-codes.ts";
import { openStore, requireDatabase } from "./store/open-store.ts";

/** Makes a code that may make one organisation, beside a server that may run. Fails with `state.…`, `store.…`. */
export async function createSetupCode(
  { directory, store: location }: Pick<ServerConfig, "directory" | "store">,
  { clock, random }: { readonly clock: Clock; readonly random: Random },
): Promise<string> {
  requireDatabase(location);
  const keys = await openServerKeys(directory, {
    now: () => clock.now(),
    randomBytes: (length) => random.bytes(length),
  });
  await using store = await openStore(location, clock);
  await claimDatabase(store, keys);
  let made = "";
  await makeSetupCode({ store, random, serverIdentityKey: keys.identityKey }, async (code) => {
    made = code;
  });
  return made;
}
