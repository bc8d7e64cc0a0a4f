import { base64url, handshakeTuple, Problem, type Random, Secret } from "@gatehouse/core";
import { type KeySetDocument, sealTo, sha256, verifySignature } from "@gatehouse/kit";
import type { AuditTrail } from "../audit/audit-trail.ts";
import type { EnrollmentRecords } from "../enrollment/enrollment-records.ts";
import type { NodeBudget } from "../limits/node-budget.ts";
import type { Node, NodeRecords } from "../nodes/node-records.ts";
import { API_KEY_TTL_MS, issueApiKey } from "../orgs/api-key.ts";
import type { ApiKey, ApiKeyRecords } from "../orgs/org-records.ts";
import { type Challenge, openChallenge } from "./challenge.ts";
import { findWithLostKey, NO_API_KEY } from "./lost-key.ts";
import type { SessionRecords } from "./session-records.ts";

export interface CompleteInput {
  readonly challenge: Uint8Array;
  readonly signature: Uint8Array;
}

export interface Completed {
  readonly orgId: string;
  readonly nodeId: string;
  readonly sessionToken: string;
  readonly expiresAt: number;
  readonly sealedApiKey: string | undefined;
  /** Of the API key that the node goes on with. */
  readonly apiKeyExpiresAt: number;
}

interface CompleteTransaction {
  readonly now: () => number;
  readonly audit: AuditTrail;
  readonly apiKeys: ApiKeyRecords;
  readonly nodes: NodeRecords;
  readonly enrollments: EnrollmentRecords;
  readonly sessions: SessionRecords;
  /** False when it was spent before. */
  spendChallenge(sha256: Uint8Array, expiresAt: number): Promise<boolean>;
}

export interface CompleteDeps {
  readonly store: { inOrg<T>(orgId: string, work: (tx: CompleteTransaction) => Promise<T>): Promise<T> };
  readonly macKey: Uint8Array;
  readonly origin: string;
  readonly serverIdentityKey: Uint8Array;
  /** The present epoch, and when it was opened. */
  readonly keySet: Pick<KeySetDocument, "epoch" | "issued_at">;
  readonly random: Random;
  readonly now: () => number;
  readonly budget: Pick<NodeBudget, "check" | "spend">;
}

export const SESSION_TTL_MS = 900_000;
export const TOKEN_BYTES = 32;
/** Answers of one node that may be under way, or were lost; without an end, ending the node would take for ever. */
const MAX_UNUSED_KEYS = 4;

/**
 * Opens the node's one session for whoever signs the challenge with its identity key; the session before is fenced
 * off. The challenge is spent before anything is checked, and whatever is answered commits that: a replay and a wrong
 * signature both burn it. An API key that has expired is answered with a fresh one, sealed. Fails with `auth.refused`,
 * which is on record; with `server.busy` for a node that opened too many, whose challenge then stays good.
 */
export async function completeHandshake(input: CompleteInput, deps: CompleteDeps): Promise<Completed> {
  const challenge = openChallenge(input.challenge, deps.macKey, deps.now());
  deps.budget.check(challenge);
  const done = await deps.store.inOrg(challenge.orgId, async (tx) => {
    const isFirst = await tx.spendChallenge(sha256(input.challenge), challenge.expiresAt);
    const opened = isFirst ? await open(tx, { ...input, sent: challenge }, deps) : undefined;
    const actor = `node:${challenge.nodeId}`;
    const kind = opened === undefined ? "handshake.refused" : "handshake.completed";
    await tx.audit.append({ kind, actor, node: challenge.nodeId, data: { replayed: !isFirst } });
    return opened;
  });
  if (done === undefined) throw new Problem("auth.refused");
  deps.budget.spend(challenge);
  return done;
}

interface Answer extends CompleteInput {
  readonly sent: Challenge;
}

async function open(tx: CompleteTransaction, answer: Answer, deps: CompleteDeps): Promise<Completed | undefined> {
  const { sent, signature } = answer;
  const node = await tx.nodes.lock(sent.nodeId);
  const used = node?.state === "confirmed" ? await findUsedKey(tx, { node, sent }, deps) : undefined;
  if (node === undefined || used === undefined) return undefined;
  const known = used === "lost" ? undefined : used;
  const { origin, serverIdentityKey, random } = deps;
  const { clientNonce, serverNonce, nodeId, orgId } = sent;
  const { identityKey } = node;
  const own = { origin, serverIdentityKey, challenge: answer.challenge };
  const tuple = handshakeTuple({ ...own, clientNonce, serverNonce, nodeId, identityKey });
  if (!verifySignature(identityKey, tuple, signature)) return undefined;
  if (known !== undefined) await settleKeys(tx, node, known);
  const isFreshNeeded = known === undefined || known.expiresAt <= tx.now();
  const fresh = isFreshNeeded ? await freshKey(tx, { node, aad: sha256(tuple) }, random) : undefined;
  const sessionToken = base64url(random.bytes(TOKEN_BYTES));
  const expiresAt = tx.now() + SESSION_TTL_MS;
  const before = await tx.sessions.find(nodeId);
  const fence = (before?.fence ?? 0) + 1;
  const tokenSha256 = sha256(sessionToken);
  const apiKeyId = known?.id ?? fresh?.id ?? NO_API_KEY;
  await tx.sessions.replace(before, { nodeId, apiKeyId, fence, tokenSha256, expiresAt, previous: undefined });
  const apiKeyExpiresAt = (fresh ?? known)?.expiresAt ?? 0;
  return { orgId, nodeId, sessionToken, expiresAt, sealedApiKey: fresh?.sealed, apiKeyExpiresAt };
}

/** The key that a challenge was given for, as it stands now. `lost`: the server knows none that its node has. */
async function findUsedKey(
  tx: CompleteTransaction,
  { node, sent }: { readonly node: Node; readonly sent: Challenge },
  { keySet }: CompleteDeps,
): Promise<ApiKey | "lost" | undefined> {
  if (sent.apiKeyId === NO_API_KEY) {
    return (await findWithLostKey(tx, node.identityKey, keySet))?.id === node.id ? "lost" : undefined;
  }
  const key = await tx.apiKeys.find(sent.apiKeyId);
  return key?.revokedAt === undefined ? key : undefined;
}

/** The key was used: older ones are done with, and the enrollment's answer has arrived. */
async function settleKeys(tx: CompleteTransaction, node: Node, used: ApiKey): Promise<void> {
  for (const { id } of await tx.apiKeys.listOfNode(node.id)) if (id < used.id) await tx.apiKeys.revoke(id);
  await tx.apiKeys.touch(used.id);
  const enrollment = await tx.enrollments.findByNode(node.id);
  if (enrollment?.sealed !== undefined) await tx.enrollments.update(enrollment.id, { sealed: null });
}

/** Issues a further API key of a node, sealed to it. Of those that never came to be used, a few stay: the newest. */
export async function freshKey(
  tx: Pick<CompleteTransaction, "now" | "apiKeys">,
  { node, aad }: { readonly node: Node; readonly aad: Uint8Array },
  random: Random,
): Promise<{ readonly id: string; readonly sealed: string; readonly expiresAt: number }> {
  const unused = (await tx.apiKeys.listOfNode(node.id)).filter(({ lastUsedAt }) => lastUsedAt === undefined);
  for (const { id } of unused.slice(0, 1 - MAX_UNUSED_KEYS)) await tx.apiKeys.revoke(id);
  const { text, stored } = issueApiKey("ghn", tx.now(), random);
  const expiresAt = tx.now() + API_KEY_TTL_MS;
  await tx.apiKeys.insert({
    ...stored,
    nodeId: node.id,
    memberId: undefined,
    label: "node",
    role: undefined,
    expiresAt,
  });
  return { id: stored.id, expiresAt, sealed: await sealTo(node.encryptionKey, new Secret(text), aad) };
}
