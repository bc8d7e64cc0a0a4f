import { Problem } from "@gatehouse/core";
import { sha256 } from "@gatehouse/kit";
import type { Node, NodeRecords } from "../nodes/node-records.ts";
import { checkProof, type ProofTransaction } from "./check-proof.ts";
import type { Session, SessionRecords } from "./session-records.ts";

/** A node as its calls are made by it. */
export interface NodeCaller {
  readonly orgId: string;
  readonly nodeId: string;
  /** Of the session: a later handshake fences this one off. */
  readonly fence: number;
  readonly sessionExpiresAt: number;
}

interface SessionTransaction extends ProofTransaction {
  readonly orgId: string;
  readonly nodes: NodeRecords;
  readonly sessions: SessionRecords;
}

export interface AuthenticateNodeDeps {
  readonly store: {
    inOrgOf<T>(
      kind: "session",
      sha256: Uint8Array,
      work: (tx: SessionTransaction) => Promise<T>,
    ): Promise<T | undefined>;
  };
  readonly macKey: Uint8Array;
}

export interface NodeCredentials {
  readonly token: string;
  readonly proof: string;
  readonly url: string;
}

/** Knows a node by its session token and a proof by its key. Whatever is wrong fails alike with `auth.refused`. */
export async function authenticateNode(
  { token, proof, url }: NodeCredentials,
  { store, macKey }: AuthenticateNodeDeps,
): Promise<NodeCaller> {
  const tokenSha256 = sha256(token);
  const caller = await store.inOrgOf("session", tokenSha256, async (tx) => {
    const { node, session } = await readSession(tx, tokenSha256);
    await checkProof(tx, { proof, url, tokenSha256, identityKey: node.identityKey }, macKey);
    return { orgId: tx.orgId, nodeId: node.id, fence: session.fence, sessionExpiresAt: session.expiresAt };
  });
  if (caller === undefined) throw new Problem("auth.refused");
  return caller;
}

async function readSession(tx: SessionTransaction, tokenSha256: Uint8Array): Promise<{ node: Node; session: Session }> {
  const session = await tx.sessions.findByToken(tokenSha256);
  const node = session === undefined ? undefined : await tx.nodes.find(session.nodeId);
  if (session === undefined || node?.state !== "confirmed") throw new Problem("auth.refused");
  const isCurrent = Buffer.compare(session.tokenSha256, tokenSha256) === 0;
  const until = isCurrent ? session.expiresAt : Math.min(session.expiresAt, session.previous?.until ?? 0);
  if (until <= tx.now()) throw new Problem("auth.refused");
  return { node, session };
}
