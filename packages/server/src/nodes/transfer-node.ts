import { Problem } from "@gatehouse/core";
import type { AuditTrail } from "../audit/audit-trail.ts";
import type { CredentialRecords } from "../credentials/credential-records.ts";
import { type RelabelTransaction, relabel } from "./label-node.ts";
import type { Node } from "./node-records.ts";

interface TransferTransaction extends RelabelTransaction {
  readonly audit: AuditTrail;
  readonly credentials: CredentialRecords;
}

export interface TransferInput {
  readonly fromNodeId: string;
  readonly toNodeId: string;
  readonly actor: string;
}

export interface Transferred {
  /** Names of the credentials that the first can open: an operator seals them onward, which the server cannot. */
  readonly resealPending: readonly string[];
  /** Whom to tell: other policies hold them. */
  readonly nodeIds: readonly string[];
}

/**
 * Gives a node's labels to another one and admits no new run on it. Runs stay where they are. The same again is OK.
 * Fails with `nodes.not_found`, `api.malformed` for a node and itself.
 */
export async function transferNode(
  tx: TransferTransaction,
  { fromNodeId, toNodeId, actor }: TransferInput,
): Promise<Transferred> {
  await tx.nodes.lockDesired();
  // In one order whoever calls: two transfers at once wait for each other.
  const locked = new Map<string, Node | undefined>();
  for (const id of [fromNodeId, toNodeId].sort()) locked.set(id, await tx.nodes.lock(id));
  const [from, to] = [locked.get(fromNodeId), locked.get(toNodeId)];
  if (from?.state !== "confirmed" || to?.state !== "confirmed") throw new Problem("nodes.not_found");
  if (from.id === to.id) throw new Problem("api.malformed", { detail: "A node is not transferred to itself." });
  const nodeIds = [...(await relabel(tx, to, { ...to.labels, ...from.labels })), ...(await relabel(tx, from, {}))];
  await tx.nodes.update(from.id, { isCordoned: true });
  const held = await tx.credentials.listOfNode(from.id);
  const data = { to: to.id, labels: Object.keys(from.labels).length, credentials: held.length };
  await tx.audit.append({ kind: "node.transferred", actor, node: from.id, data });
  return { resealPending: held.map(({ name }) => name), nodeIds };
}
