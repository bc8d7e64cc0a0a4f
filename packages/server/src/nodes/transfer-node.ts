import { Problem } from "@gatehouse/core";
import type { AuditTrail } from "../audit/audit-trail.ts";
import type { CredentialRecords } from "../credentials/credential-records.ts";
import type { Node, NodeRecords } from "./node-records.ts";

interface TransferTransaction {
  readonly audit: AuditTrail;
  readonly nodes: NodeRecords;
  readonly credentials: CredentialRecords;
}

export interface TransferInput {
  readonly fromNodeId: string;
  readonly toNodeId: string;
  readonly actor: string;
}

/**
 * Gives a node's labels to another one and admits no new run on it. Runs stay where they are. Answers the names of the
 * credentials that it can open: an operator seals them onward, which the server cannot. The same again is OK. Fails with
 * `nodes.not_found`, `api.malformed` for a node and itself.
 */
export async function transferNode(
  tx: TransferTransaction,
  { fromNodeId, toNodeId, actor }: TransferInput,
): Promise<readonly string[]> {
  // In one order whoever calls: two transfers at once wait for each other.
  const locked = new Map<string, Node | undefined>();
  for (const id of [fromNodeId, toNodeId].sort()) locked.set(id, await tx.nodes.lock(id));
  const [from, to] = [locked.get(fromNodeId), locked.get(toNodeId)];
  if (from?.state !== "confirmed" || to?.state !== "confirmed") throw new Problem("nodes.not_found");
  if (from.id === to.id) throw new Problem("api.malformed", { detail: "A node is not transferred to itself." });
  await tx.nodes.update(to.id, { labels: { ...to.labels, ...from.labels } });
  await tx.nodes.update(from.id, { labels: {}, isCordoned: true });
  const held = await tx.credentials.listOfNode(from.id);
  const data = { to: to.id, labels: Object.keys(from.labels).length, credentials: held.length };
  await tx.audit.append({ kind: "node.transferred", actor, node: from.id, data });
  return held.map(({ name }) => name);
}
