import { Problem, type Random } from "@gatehouse/core";
import { cancelEnrollment } from "../enrollment/end-enrollment.ts";
import { claimDatabase } from "../keys/claim-database.ts";
import { rotateKeys } from "../keys/rotate-keys.ts";
import { openServerKeys } from "../keys/server-keys.ts";
import { eachConfirmed } from "../nodes/each-confirmed.ts";
import { identityLookup } from "../sessions/lost-key.ts";
import type { OrgTransaction } from "../store/org-transaction.ts";
import type { Store } from "../store/store.ts";
import { readTakenBack, takeBackAgain } from "./taken-back.ts";

export interface EpochOptions {
  readonly directory: string;
  readonly store: Store;
  readonly now: () => number;
  readonly random: Random;
  readonly reason: "restored" | "recovered" | "keys_leaked";
  /** Exported logs of organisations: what they say was taken back is taken back again. */
  readonly auditFiles: readonly string[];
}

/**
 * Opens a new epoch: what was under way is void (codes, enrollments that wait, sessions), each organisation's log says
 * so, what exported logs say was revoked since is revoked again, and new working keys take the old ones' place. With
 * `keys_leaked` nothing that those of before signed counts any more. Killed in between, the same again goes on. Answers
 * the epoch. Fails, and changes nothing, with `audit.…` for a log that this server did not sign, `org.not_found` for one
 * of an organisation that it does not have.
 */
export async function openEpoch(options: EpochOptions): Promise<number> {
  const { directory, store, now, random, reason, auditFiles } = options;
  const deps = { now, randomBytes: (length: number) => random.bytes(length) };
  const before = await openServerKeys(directory, deps);
  const epoch = before.keySet.epoch + 1;
  const orgIds = await store.orgIds();
  const back = await Promise.all(auditFiles.map((file) => readTakenBack(file, before.working.audit.key.publicKey)));
  const stranger = back.find(({ orgId }) => !orgIds.includes(orgId));
  if (stranger !== undefined) throw new Problem("org.not_found", { detail: `An export is of ${stranger.orgId}.` });
  if (reason === "keys_leaked") await store.restateFact("leaked_epoch", String(before.keySet.epoch));
  await store.forgetSetupCodes();
  for (const orgId of orgIds) {
    await store.inOrg(orgId, async (tx) => {
      const size = await tx.auditLogs.size(orgId);
      for (const { id } of await tx.enrollments.listOpen()) await cancelEnrollment(tx, { id, actor: "server" });
      await tx.sessions.removeAll();
      await tx.memberSessions.removeAll();
      await tx.deviceGrants.removeAll();
      await tx.invitations.removeAll();
      await tx.nodes.raiseEpoch(epoch);
      for (const one of back) if (one.orgId === orgId) await takeBackAgain(tx, one, size);
      await letIdentitiesIn(tx);
      await tx.audit.append({ kind: "server.epoch_opened", actor: "server", data: { epoch, reason } });
    });
  }
  const keys = await rotateKeys(directory, deps);
  await claimDatabase(store, keys);
  return keys.keySet.epoch;
}

/** Nodes whose API key is not among what was put back are found by their identity key. */
async function letIdentitiesIn({ nodes, keepLookup }: Pick<OrgTransaction, "nodes" | "keepLookup">): Promise<void> {
  for await (const { identityKey } of eachConfirmed(nodes)) await keepLookup("api_key", identityLookup(identityKey));
}
