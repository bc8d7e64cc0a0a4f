import { type KeySetDocument, sha256 } from "@gatehouse/kit";
import type { Node, NodeRecords } from "../nodes/node-records.ts";
import type { ApiKeyRecords } from "../orgs/org-records.ts";

/** In a challenge, in place of a key's id: the server knows none that its node has. */
export const NO_API_KEY = "00000000-0000-0000-0000-000000000000";

const DOMAIN = new TextEncoder().encode("gatehouse/identity-of-epoch");

/** Under what a node's organisation is found by its identity key, where an epoch was opened over what a backup held. */
export function identityLookup(identityKey: Uint8Array): Uint8Array {
  return sha256(DOMAIN, identityKey);
}

export interface LostKeyTransaction {
  readonly apiKeys: Pick<ApiKeyRecords, "listOfNode">;
  readonly nodes: Pick<NodeRecords, "findByIdentity">;
}

/**
 * A confirmed node whose API key a backup does not know: it proves itself by its identity key alone in an epoch that was
 * opened after the first, until a key of it was used there. `undefined`: there is none.
 */
export async function findWithLostKey(
  tx: LostKeyTransaction,
  identityKey: Uint8Array,
  { epoch, issued_at: openedAt }: Pick<KeySetDocument, "epoch" | "issued_at">,
): Promise<Node | undefined> {
  const node = epoch > 1 ? await tx.nodes.findByIdentity(identityKey) : undefined;
  if (node?.state !== "confirmed") return undefined;
  const keys = await tx.apiKeys.listOfNode(node.id);
  return keys.some(({ lastUsedAt }) => (lastUsedAt ?? 0) >= openedAt) ? undefined : node;
}
