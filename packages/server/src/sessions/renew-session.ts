import { base64url, Problem, type Random } from "@gatehouse/core";
import { sha256 } from "@gatehouse/kit";
import type { NodeRecords } from "../nodes/node-records.ts";
import type { ApiKeyRecords } from "../orgs/org-records.ts";
import { checkProof, type ProofTransaction } from "./check-proof.ts";
import { SESSION_TTL_MS, TOKEN_BYTES } from "./complete-handshake.ts";
import type { Session, SessionRecords } from "./session-records.ts";

interface RenewTransaction extends ProofTransaction {
  readonly nodes: NodeRecords;
  readonly apiKeys: ApiKeyRecords;
  readonly sessions: SessionRecords;
}

export interface RenewDeps {
  readonly store: { inOrg<T>(orgId: string, work: (tx: RenewTransaction) => Promise<T>): Promise<T> };
  readonly random: Random;
  readonly macKey: Uint8Array;
}

export interface RenewInput {
  readonly orgId: string;
  readonly nodeId: string;
  readonly fence: number;
  /** By the node's key for the present token. */
  readonly proof: string;
  /** Of the method on which it came. */
  readonly url: string;
}

/** How long the token before goes on opening calls that were under way. */
const OVERLAP_MS = 60_000;

/** Prolongs a session under a new token; fences nothing. Fails with `auth.refused` and `auth.stale_nonce`. */
export async function renewSession(input: RenewInput, deps: RenewDeps) {
  const { orgId, nodeId, fence, proof, url } = input;
  const sessionToken = base64url(deps.random.bytes(TOKEN_BYTES));
  const expiresAt = await deps.store.inOrg(orgId, async (tx) => {
    const { node, session } = await readLive(tx, { nodeId, fence });
    const { tokenSha256 } = session;
    await checkProof(tx, { proof, url, tokenSha256, identityKey: node.identityKey }, deps.macKey);
    const until = tx.now() + SESSION_TTL_MS;
    const previous = { tokenSha256, until: tx.now() + OVERLAP_MS };
    await tx.sessions.replace(session, { ...session, tokenSha256: sha256(sessionToken), expiresAt: until, previous });
    return until;
  });
  return { sessionToken, expiresAt };
}

async function readLive(tx: RenewTransaction, { nodeId, fence }: { readonly nodeId: string; readonly fence: number }) {
  const node = await tx.nodes.lock(nodeId);
  const session: Session | undefined = await tx.sessions.find(nodeId);
  const key = session === undefined ? undefined : await tx.apiKeys.find(session.apiKeyId);
  const isLive = session?.fence === fence && session.expiresAt > tx.now() && key?.revokedAt === undefined;
  if (node?.state !== "confirmed" || session === undefined || !isLive) throw new Problem("auth.refused");
  return { node, session };
}
