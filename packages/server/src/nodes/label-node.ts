import { canonicalJson, Problem } from "@gatehouse/core";
import type { AuditTrail } from "../audit/audit-trail.ts";
import { raiseGeneration } from "../bundles/raise-generation.ts";
import { holdsNode, type Labels } from "../policies/holds-node.ts";
import type { PolicyRecords } from "../policies/policy-records.ts";
import type { EventRecords } from "../reports/event-records.ts";
import type { Node, NodeRecords } from "./node-records.ts";

export interface RelabelTransaction {
  readonly nodes: NodeRecords;
  readonly policies: Pick<PolicyRecords, "list">;
}

interface LabelTransaction extends RelabelTransaction {
  readonly audit: AuditTrail;
  readonly events: Pick<EventRecords, "append">;
}

export interface LabelInput {
  readonly nodeId: string;
  readonly actor: string;
  readonly set: Labels;
  readonly removed: readonly string[];
}

export interface Labelled {
  readonly labels: Labels;
  /** Whom to tell. */
  readonly nodeIds: readonly string[];
}

/** As many as a code for a host may give. */
const MAX_LABELS = 64;

/**
 * Sets labels of a node and takes others away. The same again is OK, and no one hears of it. Fails with
 * `nodes.not_found`, `api.malformed` for a label that is to be set and to end, or for more than a node may have.
 */
export async function labelNode(tx: LabelTransaction, input: LabelInput): Promise<Labelled> {
  const { nodeId, actor, set, removed } = input;
  const both = removed.find((key) => Object.hasOwn(set, key));
  if (both !== undefined) throw new Problem("api.malformed", { detail: `The label ${both} is set and taken away.` });
  await tx.nodes.lockDesired();
  const node = await tx.nodes.lock(nodeId);
  if (node === undefined) throw new Problem("nodes.not_found");
  const kept = Object.entries(node.labels).filter(([key]) => !removed.includes(key));
  const labels = Object.fromEntries([...kept, ...Object.entries(set)]);
  if (Object.keys(labels).length > MAX_LABELS) {
    throw new Problem("api.malformed", { detail: `A node has at most ${MAX_LABELS} labels.` });
  }
  const [before, after] = [canonicalJson(node.labels), canonicalJson(labels)];
  if (before === after) return { labels, nodeIds: [] };
  const nodeIds = await relabel(tx, node, labels);
  await tx.audit.append({ kind: "node.labelled", actor, node: nodeId, data: { before, after } });
  await tx.events.append([{ kind: "node.labelled", nodeId, data: canonicalJson({ name: node.name, labels }) }]);
  return { labels, nodeIds };
}

/**
 * Gives a node that is locked, after `lockDesired`, other labels, and the next generation where other policies hold it
 * by them. Answers whom to tell.
 */
export async function relabel(tx: RelabelTransaction, node: Node, labels: Labels): Promise<readonly string[]> {
  await tx.nodes.update(node.id, { labels });
  const policies = await tx.policies.list();
  const isHeldOtherwise = policies.some((policy) => holdsNode(policy, node) !== holdsNode(policy, { labels }));
  // What waits for its confirmation serves nothing yet.
  if (node.state !== "confirmed" || !isHeldOtherwise) return [];
  return (await raiseGeneration(tx, [node.id])).map(({ id }) => id);
}
