import { checkRoster, type SignedRoster } from "@gatehouse/kit";
import type { AuditTrail } from "../audit/audit-trail.ts";
import { type RaiseTransaction, raiseGeneration } from "../bundles/raise-generation.ts";
import type { OrgRecords } from "./org-records.ts";
import type { RosterRecords } from "./roster-records.ts";

interface PutRosterTransaction extends RaiseTransaction {
  readonly audit: AuditTrail;
  readonly org: OrgRecords;
  readonly roster: RosterRecords;
}

/** No organisation has more nodes. */
const MAX_NODES = 100_000;

/**
 * Stores a roster by which other operators count than before. Every node gets it with its next generation: what an
 * operator may no longer sign must end there. The same again changes nothing. Answers whom to tell. Fails with
 * `roster.conflict`, `roster.refused`.
 */
export async function putRoster(
  tx: PutRosterTransaction,
  { actor, roster }: { readonly actor: string; readonly roster: SignedRoster },
): Promise<readonly string[]> {
  const placed = checkRoster(roster, await tx.roster.newest(), (await tx.org.get()).orgKey);
  if (placed === "same") return [];
  await tx.roster.insert(roster);
  await tx.audit.append({ kind: "roster.changed", actor, data: { version: roster.version } });
  const nodes = await tx.nodes.list({ state: "confirmed", limit: MAX_NODES });
  const raised = await raiseGeneration(
    tx,
    nodes.map(({ id }) => id),
  );
  return raised.map(({ id }) => id);
}
