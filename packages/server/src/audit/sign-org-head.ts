import {
  auditKeyId,
  constantTimeEqual,
  hashLeaf,
  headBytes,
  MerkleFrontier,
  Problem,
  type SignedHead,
} from "@gatehouse/core";
import { type SigningKey, sha256, verifySignature } from "@gatehouse/kit";
import type { AuditLogRecords, SignedLog } from "./audit-log-records.ts";

export interface HeadTransaction {
  readonly orgId: string;
  readonly now: () => number;
  readonly auditLogs: AuditLogRecords;
}

/** One transaction reads no more entries than these; the next head covers the rest. No two heads are further apart. */
export const MAX_HEAD_ENTRIES = 5_000;

/** Whether entries stand that no head covers. Takes no lock. */
export async function needsHead({ orgId, auditLogs }: HeadTransaction): Promise<boolean> {
  const signed = await auditLogs.find(orgId);
  return (await auditLogs.size(orgId)) > (signed?.tree.size ?? 0);
}

/**
 * Signs a head over what stands in the organisation's log, reading the entries since the last one alone. Any number of
 * replicas may call at once: the second finds nothing left to sign. Returns the newest head, and whether entries are
 * still left for another. Fails with `audit.tampered` when the last head is not what was signed, or entries are gone.
 */
export async function signOrgHead(
  tx: HeadTransaction,
  key: SigningKey,
): Promise<{ readonly head: SignedHead | undefined; readonly isWhole: boolean }> {
  const { orgId, auditLogs } = tx;
  await auditLogs.lock();
  const { tree } = (await auditLogs.find(orgId)) ?? newLog(orgId, key);
  const before = await auditLogs.newestHead(orgId);
  requireOwnHead(orgId, { tree, key, head: before });
  const added = await auditLogs.entries(orgId, { from: tree.size, to: Number.MAX_SAFE_INTEGER }, MAX_HEAD_ENTRIES);
  if (added.length === 0) return { head: before, isWhole: true };
  for (const { seq, text } of added) {
    if (seq !== tree.size) throw new Problem("audit.tampered", { detail: `Entry ${tree.size} is missing.` });
    tree.append(hashLeaf(sha256, text));
  }
  const next = { size: tree.size, root: tree.root(), time: tx.now() };
  const signature = key.sign(headBytes(orgId, next));
  const head = { ...next, keyId: auditKeyId(sha256, key.publicKey), signature };
  await auditLogs.insertHead(orgId, head, tree.peaks);
  await auditLogs.save(orgId, { signedAs: orgId, key: key.publicKey, tree, forkedAt: undefined });
  return { head, isWhole: added.length < MAX_HEAD_ENTRIES };
}

function newLog(orgId: string, { publicKey }: SigningKey): SignedLog {
  return { signedAs: orgId, key: publicKey, tree: new MerkleFrontier(sha256), forkedAt: undefined };
}

interface LastHead {
  readonly tree: MerkleFrontier;
  readonly key: SigningKey;
  readonly head: SignedHead | undefined;
}

/** What the next head builds on must be what this server signed: else it would sign what somebody put there. */
function requireOwnHead(orgId: string, { tree, key, head }: LastHead): void {
  if (head === undefined && tree.size === 0) return;
  const isOwn =
    head?.size === tree.size &&
    constantTimeEqual(head.root, tree.root()) &&
    verifySignature(key.publicKey, headBytes(orgId, head), head.signature);
  if (!isOwn) throw new Problem("audit.tampered", { detail: "Its last head is not the one that was signed." });
}
