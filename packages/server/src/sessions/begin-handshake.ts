import { constantTimeEqual, Problem, type Random } from "@gatehouse/core";
import { sha256 } from "@gatehouse/kit";
import type { Node, NodeRecords } from "../nodes/node-records.ts";
import type { ApiKey, ApiKeyRecords } from "../orgs/org-records.ts";
import { sealChallenge } from "./challenge.ts";

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
}

const CHALLENGE_TTL_MS = 30_000;
const NONCE_BYTES = 32;

/**
 * Gives a challenge to whoever holds a node's API key, an expired one included. Stores nothing. A key that is unknown
 * or revoked, a node that is gone or another identity key fail alike with `auth.refused`.
 */
export async function beginHandshake(input: BeginInput, deps: BeginDeps): Promise<Begun> {
  const keySha256 = sha256(input.apiKey);
  const orgId = await deps.store.findOrg("api_key", keySha256);
  if (orgId === undefined) throw new Problem("auth.refused");
  const { node, key } = await deps.store.inOrg(orgId, (tx) => readNodeOfKey(tx, keySha256));
  if (!constantTimeEqual(node.identityKey, input.identityKey)) throw new Problem("auth.refused");
  if (node.state !== "confirmed") throw new Problem("auth.not_confirmed");
  const serverNonce = deps.random.bytes(NONCE_BYTES);
  const expiresAt = deps.now() + CHALLENGE_TTL_MS;
  const { clientNonce } = input;
  const own = { orgId, nodeId: node.id, apiKeyId: key.id, clientNonce, serverNonce, expiresAt };
  return { challenge: sealChallenge(own, deps.macKey), serverNonce, expiresAt };
}

async function readNodeOfKey(tx: BeginTransaction, keySha256: Uint8Array): Promise<{ node: Node; key: ApiKey }> {
  const key = await tx.apiKeys.findByHash(keySha256);
  const node = key?.nodeId === undefined ? undefined : await tx.nodes.find(key.nodeId);
  if (key === undefined || key.revokedAt !== undefined || node === undefined) throw new Problem("auth.refused");
  return { node, key };
}
