import type { SignedRoster } from "@gatehouse/kit";
import { raiseGeneration } from "../bundles/raise-generation.ts";
import { eachConfirmed } from "./each-confirmed.ts";
import { type RetireTransaction, retireNode } from "./retire-node.ts";

/** Whom to tell of a roster after the commit. */
export interface RosterChange {
  /** Nodes whose desired state changed. */
  readonly changed: readonly string[];
  /** Nodes that are none any more, and their sessions with them. */
  readonly ended: readonly string[];
}

/** Ends every node that does not stand on a roster; the others get it with their next generation. */
export async function endUnlisted(
  tx: RetireTransaction,
  { actor, roster }: { readonly actor: string; readonly roster: SignedRoster },
): Promise<RosterChange> {
  const listed = new Set(roster.nodes.map(({ nodeId }) => nodeId));
  const [kept, ended]: [string[], string[]] = [[], []];
  for await (const { id } of eachConfirmed(tx.nodes)) (listed.has(id) ? kept : ended).push(id);
  for (const nodeId of ended) await retireNode(tx, { nodeId, actor, reason: "revoked" });
  return { changed: (await raiseGeneration(tx, kept)).map(({ id }) => id), ended };
}
