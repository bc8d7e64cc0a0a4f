import type { SignedRoster } from "@gatehouse/kit";
import type { RevokeCredentialTransaction } from "../credentials/revoke-credential.ts";
import type { RosterChange } from "../nodes/end-unlisted.ts";
import { quarantineNode } from "../nodes/quarantine-node.ts";
import type { EventRecords } from "../reports/event-records.ts";
import { type AdoptTransaction, adoptRoster } from "./adopt-roster.ts";
import { type PastCourt, type PastRevocations, provenIds, revokeAgain } from "./past-revocations.ts";

type PastTransaction = AdoptTransaction &
  RevokeCredentialTransaction & { readonly events: Pick<EventRecords, "append"> };

export interface ToldPast {
  readonly revocations: readonly PastRevocations[];
  readonly rosterVersion: number;
  /** Absent: not asked for yet. */
  readonly roster: SignedRoster | undefined;
}

export interface TakenPast extends RosterChange {
  readonly wantsRoster: boolean;
}

/**
 * Hears from a node what this server knew before it was put back from a backup: what its own keys, or its operators',
 * signed then counts again. A node that says of a credential what nobody signed is put in quarantine. Fails with
 * `roster.refused`, `roster.split`.
 */
export async function takePast(tx: PastTransaction, told: ToldPast, court: PastCourt): Promise<TakenPast> {
  const { revocations, roster, rosterVersion } = told;
  const live = revocations.length === 0 ? [] : (await tx.credentials.names()).keys();
  const ids = provenIds(revocations, live, court);
  if (ids === undefined) {
    const node = await tx.nodes.lock(court.nodeId);
    if (node !== undefined) await quarantineNode(tx, node, "revocation_unproven");
    return { wantsRoster: false, changed: [], ended: [] };
  }
  const changed = ids.size === 0 ? [] : await revokeAgain(tx, (id) => ids.has(id));
  const adopted = roster && (await adoptRoster(tx, { actor: "server", roster }));
  const newest = (await tx.roster.newest())?.version ?? 0;
  return { wantsRoster: roster === undefined && rosterVersion > newest, ...joined(changed, adopted) };
}

function joined(changed: readonly string[], adopted: RosterChange | undefined): RosterChange {
  return { changed: [...changed, ...(adopted?.changed ?? [])], ended: adopted?.ended ?? [] };
}
