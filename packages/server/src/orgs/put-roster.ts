import { checkRoster, isJoin, type SignedRoster } from "@gatehouse/kit";
import { raiseGeneration } from "../bundles/raise-generation.ts";
import { endUnlisted, type RosterChange } from "../nodes/end-unlisted.ts";
import type { RetireTransaction } from "../nodes/retire-node.ts";
import type { OrgRecords } from "./org-records.ts";
import type { RosterRecords } from "./roster-records.ts";

interface PutRosterTransaction extends RetireTransaction {
  readonly org: OrgRecords;
  readonly roster: RosterRecords;
}

/** No organisation has more nodes. */
const MAX_NODES = 100_000;

/**
 * Stores a roster by which other operators count than before, or one that joins two: whoever is not on a join is a
 * node no more. Every node gets it with its next generation: what an operator may no longer sign must end there. The
 * same again changes nothing. Fails with `roster.conflict`, `roster.refused`, `roster.split`.
 */
export async function putRoster(
  tx: PutRosterTransaction,
  { actor, roster }: { readonly actor: string; readonly roster: SignedRoster },
): Promise<RosterChange> {
  const placed = checkRoster(roster, await tx.roster.newest(), (await tx.org.get()).orgKey);
  if (placed === "same") return { changed: [], ended: [] };
  await tx.nodes.lockConfirmed();
  await tx.roster.insert(roster);
  const kind = isJoin(roster) ? "roster.joined" : "roster.changed";
  await tx.audit.append({ kind, actor, data: { version: roster.version } });
  if (isJoin(roster)) return endUnlisted(tx, { actor, roster });
  const nodes = await tx.nodes.list({ state: "confirmed", limit: MAX_NODES });
  const raised = await raiseGeneration(
    tx,
    nodes.map(({ id }) => id),
  );
  return { changed: raised.map(({ id }) => id), ended: [] };
}
