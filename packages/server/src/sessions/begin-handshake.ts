import { constantTimeEqual, Problem, type Random } from "@gatehouse/core";
import { type KeySetDocument, sha256 } from "@gatehouse/kit";
import type { Node, NodeRecords } from "../nodes/node-records.ts";
import type { ApiKey, ApiKeyRecords } from "../orgs/org-records.ts";
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
  readonly apiKeys: ApiKeyRecords;
  readonly nodes: NodeRecords;
}

export interface BeginDeps {
  readonly store: {
    findOrg(kind: "api_key", sha256: Uint8Array): Promise<string | undefined>;
    inOrg<T>(orgId: string, work: (tx: BeginTransaction) => Promise<T>): Promise<T>;
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
 * whose key is unknown gets one too, for its identity key. Otherwise a key that is unknown or revoked, a node that is gone or another identity key fail alike with `auth.refused`.
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

async function findNode({ identityKey }: BeginInput, keySha256: Uint8Array, { store, keySet }: BeginDeps) {
  const orgId = await store.findOrg("api_key", keySha256);
  if (orgId !== undefined) {
    const { node, key } = await store.inOrg(orgId, (tx) => readNodeOfKey(tx, keySha256));
    return { orgId, node, apiKeyId: key.id };
  }
  const before = keySet.epoch > 1 ? await store.findOrg("api_key", identityLookup(identityKey)) : undefined;
  if (before === undefined) throw new Problem("auth.refused");
  const node = await store.inOrg(before, (tx) => findWithLostKey(tx, identityKey, keySet));
  if (node === undefined) throw new Problem("auth.refused");
  return { orgId: before, node, apiKeyId: NO_API_KEY };
}

async function readNodeOfKey(tx: BeginTransaction, keySha256: Uint8Array): Promise<{ node: Node; key: ApiKey }> {
  const key = await tx.apiKeys.findByHash(keySha256);
  const node = key?.nodeId === undefined ? undefined : await tx.nodes.find(key.nodeId);
  if (key === undefined || key.revokedAt !== undefined || node === undefined) throw new Problem("auth.refused");
  return { node, key };
}
