import type { Random } from "@gatehouse/core";
import { cancelEnrollment } from "../enrollment/end-enrollment.ts";
import { claimDatabase } from "../keys/claim-database.ts";
import { rotateKeys } from "../keys/rotate-keys.ts";
import { openServerKeys } from "../keys/server-keys.ts";
import { identityLookup } from "../sessions/lost-key.ts";
import type { OrgTransaction } from "../store/org-transaction.ts";
import type { Store } from "../store/store.ts";

export interface EpochOptions {
  readonly directory: string;
  readonly store: Store;
  readonly now: () => number;
  readonly random: Random;
  readonly reason: "restored" | "recovered";
}

/**
 * Opens a new epoch: what was under way is void (codes, enrollments that wait, sessions), each organisation's log says
 * so, and new working keys take the old ones' place. Killed in between, the same again goes on. Answers the epoch.
 */
export async function openEpoch({ directory, store, now, random, reason }: EpochOptions): Promise<number> {
  const deps = { now, randomBytes: (length: number) => random.bytes(length) };
  const before = await openServerKeys(directory, deps);
  const epoch = before.keySet.epoch + 1;
  await store.forgetSetupCodes();
  for (const orgId of await store.orgIds()) {
    await store.inOrg(orgId, async (tx) => {
      for (const { id } of await tx.enrollments.listOpen()) await cancelEnrollment(tx, { id, actor: "server" });
      await tx.sessions.removeAll();
      await tx.memberSessions.removeAll();
      await tx.deviceGrants.removeAll();
      await tx.invitations.removeAll();
      await tx.nodes.raiseEpoch(epoch);
      await letIdentitiesIn(tx);
      await tx.audit.append({ kind: "server.epoch_opened", actor: "server", data: { epoch, reason } });
    });
  }
  const keys = await rotateKeys(directory, deps);
  await claimDatabase(store, keys);
  return keys.keySet.epoch;
}

const PAGE = 1_000;

/** Nodes whose API key is not among what was put back are found by their identity key. */
async function letIdentitiesIn({ nodes, keepLookup }: Pick<OrgTransaction, "nodes" | "keepLookup">): Promise<void> {
  let after: string | undefined;
  do {
    const page = await nodes.list({ state: "confirmed", limit: PAGE, after });
    for (const { identityKey } of page) await keepLookup("api_key", identityLookup(identityKey));
    after = page.length < PAGE ? undefined : page.at(-1)?.name;
  } while (after !== undefined);
}
