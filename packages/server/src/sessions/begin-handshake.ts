import { constantTimeEqual, Problem, type Random } from "@gatehouse/core";
import { type KeySetDocument, sha256 } from "@gatehouse/kit";
import type { Node, NodeRecords } from "../nodes/node-records.ts";
import type { ApiKeyRecords } from "../orgs/org-records.ts";
import { sealChallenge } from "./challenge.ts";
import { findWithLostKey, identityLookup, NO_API_KEY } from "./lost-key.ts";

export interface BeginInput {
  readonly apiKey: string;
  readonly identityKey: Uint8Array;
  readonly clientNonce: Uint8Array;
}

export interface Begun {
  readonly challenge: Uint8Array;
  readonly serverNonce: Uint8Array;
  readonly expiresAt: number;
}

interface BeginTransaction {
  readonly orgId: string;
  readonly apiKeys: ApiKeyRecords;
  readonly nodes: NodeRecords;
}

export interface BeginDeps {
  readonly store: {
    inOrgOf<T>(kind: "api_key", sha256: Uint8Array, work: (tx: BeginTransaction) => Promise<T>): Promise<T | undefined>;
  };
  readonly macKey: Uint8Array;
  readonly random: Random;
  readonly now: () => number;
  /** The present epoch, and when it was opened. */
  readonly keySet: Pick<KeySetDocument, "epoch" | "issued_at">;
}

const CHALLENGE_TTL_MS = 30_000;
const NONCE_BYTES = 32;

/**
 * Gives a challenge to whoever holds a node's API key, an expired one included. Stores nothing. After a restore, a node
 * whose key is unknown gets one too, for its identity key. Otherwise a key that is unknown or revoked, a node that is
 * gone or another identity key fail alike with `auth.refused`.
 */
export async function beginHandshake(input: BeginInput, deps: BeginDeps): Promise<Begun> {
  const keySha256 = sha256(input.apiKey);
  const { orgId, node, apiKeyId } = await findNode(input, keySha256, deps);
  if (!constantTimeEqual(node.identityKey, input.identityKey)) throw new Problem("auth.refused");
  if (node.state !== "confirmed") throw new Problem("auth.not_confirmed");
  const serverNonce = deps.random.bytes(NONCE_BYTES);
  const expiresAt = deps.now() + CHALLENGE_TTL_MS;
  const { clientNonce } = input;
  const own = { orgId, nodeId: node.id, apiKeyId, clientNonce, serverNonce, expiresAt };
  return { challenge: sealChallenge(own, deps.macKey), serverNonce, expiresAt };
}

interface FoundNode {
  readonly orgId: string;
  readonly node: Node;
  readonly apiKeyId: string;
}

async function findNode({ identityKey }: BeginInput, keySha256: Uint8Array, { store, keySet }: BeginDeps) {
  const known = await store.inOrgOf("api_key", keySha256, (tx) => readNodeOfKey(tx, keySha256));
  if (known !== undefined) return known;
  if (keySet.epoch <= 1) throw new Problem("auth.refused");
  const before = await store.inOrgOf("api_key", identityLookup(identityKey), async (tx): Promise<FoundNode> => {
    const node = await findWithLostKey(tx, identityKey, keySet);
    if (node === undefined) throw new Problem("auth.refused");
    return { orgId: tx.orgId, node, apiKeyId: NO_API_KEY };
  });
  if (before === undefined) throw new Problem("auth.refused");
  return before;
}

async function readNodeOfKey(tx: BeginTransaction, keySha256: Uint8Array): Promise<FoundNode> {
  const key = await tx.apiKeys.findByHash(keySha256);
  const node = key?.nodeId === undefined ? undefined : await tx.nodes.find(key.nodeId);
  if (key === undefined || key.revokedAt !== undefined || node === undefined) throw new Problem("auth.refused");
  return { orgId: tx.orgId, node, apiKeyId: key.id };
}
