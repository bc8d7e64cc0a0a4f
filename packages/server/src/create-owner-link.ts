import { type Clock, Problem, type Random } from "@gatehouse/core";
import { sha256 } from "@gatehouse/kit";
import { claimDatabase } from "./keys/claim-database.ts";
import { openServerKeys } from "./keys/server-keys.ts";
import type { ServerConfig } from "./open-server.ts";
import { inviteMember } from "./people/invitations.ts";
import { openStore, requireDatabase } from "./store/open-store.ts";

export interface OwnerOfOrg {
  readonly org: string;
  readonly name: string;
}

/**
 * Ends the password and the sessions of an owner, and makes the code of a link by which they choose another: for whoever
 * runs the server, when no owner can sign in any more. The server may run meanwhile. Fails with `org.not_found`,
 * `members.not_found`, `state.…`, `store.…`.
 */
export async function createOwnerLink(
  { directory, store: location }: Pick<ServerConfig, "directory" | "store">,
  { org, name }: OwnerOfOrg,
  { clock, random }: { readonly clock: Clock; readonly random: Random },
): Promise<{ readonly code: string; readonly expiresAt: number }> {
  requireDatabase(location);
  const keys = await openServerKeys(directory, {
    now: () => clock.now(),
    randomBytes: (length) => random.bytes(length),
  });
  await using store = await openStore(location, clock);
  await claimDatabase(store, keys);
  const orgId = await store.findOrg("org_name", sha256(org));
  if (orgId === undefined) throw new Problem("org.not_found");
  const { secret, expiresAt } = await store.inOrg(orgId, async (tx) => {
    const role = (await tx.members.findByName(name))?.role;
    if (role !== "owner") throw new Problem("members.not_found", { detail: "No owner has this name." });
    return inviteMember(tx, { actor: "server", name, ttlMs: 0, isReset: true }, random);
  });
  return { code: secret, expiresAt };
}
