import { constantTimeEqual, Problem } from "@gatehouse/core";
import { checkRoster, type SignedRoster } from "@gatehouse/kit";
import { endUnlisted, type RosterChange } from "../nodes/end-unlisted.ts";
import type { RetireTransaction } from "../nodes/retire-node.ts";
import type { OrgRecords } from "../orgs/org-records.ts";
import type { RosterRecords } from "../orgs/roster-records.ts";

export interface AdoptTransaction extends RetireTransaction {
  readonly orgId: string;
  readonly org: OrgRecords;
  readonly roster: RosterRecords;
}

/**
 * Takes a roster that was the newest before this server was put back from a backup, from whoever still has it: the
 * org key's signature is what counts. Nodes that do not stand on it were ended since, and are again; the others get it
 * with their next generation. One that is known is OK again. Fails with `roster.refused`, `roster.split`.
 */
export async function adoptRoster(
  tx: AdoptTransaction,
  { actor, roster: next }: { readonly actor: string; readonly roster: SignedRoster },
): Promise<RosterChange> {
  const before = await tx.roster.newest();
  if (next.orgId !== tx.orgId) throw new Problem("roster.refused", { detail: "It is another organisation's." });
  if (before !== undefined && next.version <= before.version) return { changed: [], ended: [] };
  if (before !== undefined && next.issuedAt < before.issuedAt) {
    throw new Problem("roster.split", { detail: "Another version was signed after it." });
  }
  const { orgKey } = await tx.org.get();
  // An operator's key that is known here may have been decertified since, and nobody asked for this call what the
  // caller may.
  if (!constantTimeEqual(next.signer, orgKey)) {
    throw new Problem("roster.refused", {
      detail: "The organisation's key alone signs over versions that are missing.",
    });
  }
  checkRoster(next, before, orgKey);
  await tx.nodes.lockConfirmed();
  await tx.roster.insert(next);
  await tx.audit.append({ kind: "roster.put_back", actor, data: { version: next.version } });
  return endUnlisted(tx, { actor, roster: next });
}
