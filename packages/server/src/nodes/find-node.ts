import { Problem } from "@gatehouse/core";
import type { Node, NodeRecords } from "./node-records.ts";

const MAX_SHOWN = 80;

/** A live node by id or name. One of another organisation and one that is nowhere fail alike: `nodes.not_found`. */
export async function findNode(tx: { readonly nodes: NodeRecords }, idOrName: string): Promise<Node> {
  const node = (await tx.nodes.find(idOrName)) ?? (await tx.nodes.findByName(idOrName));
  if (node === undefined)
    throw new Problem("nodes.not_found", { detail: `${JSON.stringify(idOrName.slice(0, MAX_SHOWN))} is unknown.` });
  return node;
}
