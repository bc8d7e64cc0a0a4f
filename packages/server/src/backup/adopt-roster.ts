import { constantTimeEqual, Problem } from "@gatehouse/core";
import { checkRoster, type SignedRoster } from "@gatehouse/kit";
import { raiseGeneration } from "../bundles/raise-generation.ts";
import { eachConfirmed } from "../nodes/each-confirmed.ts";
import { type RetireTransaction, retireNode } from "../nodes/retire-node.ts";
import type { OrgRecords } from "../orgs/org-records.ts";
import type { RosterRecords } from "../orgs/roster-records.ts";

export interface AdoptTransaction extends RetireTransaction {
  readonly orgId: string;
  readonly org: OrgRecords;
  readonly roster: RosterRecords;
}

export interface AdoptedRoster {
  /** Nodes whose desired state changed. */
  readonly changed: readonly string[];
  /** Nodes that are none any more: their sessions are to be told after the commit. */
  readonly ended: readonly string[];
}

/**
 * Takes a roster that was the newest before this server was put back from a backup, from whoever still has it: the
 * org key's signature is what counts. Nodes that do not stand on it were ended since, and are again; the others get it with their
 * next generation. One that is known is OK again. Fails with `roster.refused`.
 */
export async function adoptRoster(
  tx: AdoptTransaction,
  { actor, roster: next }: { readonly actor: string; readonly roster: SignedRoster },
): Promise<AdoptedRoster> {
  const before = await tx.roster.newest();
  if (next.orgId !== tx.orgId) throw new Problem("roster.refused", { detail: "It is another organisation's." });
  if (before !== undefined && next.version <= before.version) return { changed: [], ended: [] };
  if (before !== undefined && next.issuedAt < before.issuedAt) {
    throw new Problem("roster.refused", { detail: "Another version was signed after it." });
  }
  const { orgKey } = await tx.org.get();
  // An operator's key that is known here may have been decertified since, and nobody asked for this call what the caller may.
  if (!constantTimeEqual(next.signer, orgKey)) {
    throw new Problem("roster.refused", {
      detail: "The organisation's key alone signs over versions that are missing.",
    });
  }
  checkRoster(next, before, orgKey);
  await tx.roster.insert(next);
  await tx.audit.append({ kind: "roster.put_back", actor, data: { version: next.version } });
  const listed = new Set(next.nodes.map(({ nodeId }) => nodeId));
  const [kept, ended]: [string[], string[]] = [[], []];
  for await (const { id } of eachConfirmed(tx.nodes)) (listed.has(id) ? kept : ended).push(id);
  for (const nodeId of ended) await retireNode(tx, { nodeId, actor, reason: "revoked" });
  return { changed: (await raiseGeneration(tx, kept)).map(({ id }) => id), ended };
}
