import {
  type AuditHead,
  consistencyRanges,
  hashLeaf,
  type LeafRange,
  Problem,
  ProofBuilder,
  peakRanges,
  type SignedHead,
} from "@gatehouse/core";
import { sha256 } from "@gatehouse/kit";
import type { AuditLogRecords } from "./audit-log-records.ts";
import { MAX_HEAD_ENTRIES } from "./sign-org-head.ts";

interface ContinuityTransaction {
  readonly orgId: string;
  readonly auditLogs: AuditLogRecords;
}

/** A head of the organisation's log, and the proof that it continues one from before; empty where there is none. */
export interface ContinuedHead {
  readonly head: SignedHead;
  readonly proof: readonly Uint8Array[];
}

/** Nodes of a fleet ask from the few heads of the last half minute. */
const MAX_REMEMBERED = 1_024;

/**
 * Shows nodes that the organisation's log goes on from what they saw. A proof reads the entries since then alone, and
 * is made once for all nodes that saw the same head.
 */
export class OrgContinuity {
  readonly #proofs = new Map<string, readonly Uint8Array[]>();

  /**
   * The newest head, or one on the way to it for a node that saw none for long. A head that this log does not have is
   * continued by none: the proof is empty.
   */
  async since(tx: ContinuityTransaction, seen: AuditHead | undefined): Promise<ContinuedHead | undefined> {
    const { orgId, auditLogs } = tx;
    const newest = await auditLogs.newestHead(orgId);
    if (newest === undefined || seen === undefined || seen.size >= newest.size) {
      return newest && { head: newest, proof: [] };
    }
    const head = (await auditLogs.newestHead(orgId, seen.size + MAX_HEAD_ENTRIES)) ?? newest;
    const name = `${orgId} ${seen.size} ${head.size}`;
    const known = this.#proofs.get(name);
    if (known !== undefined) return { head, proof: known };
    if ((await auditLogs.head(orgId, seen.size)) === undefined) return { head, proof: [] };
    const proof = await prove(tx, seen.size, head.size);
    const [oldest] = this.#proofs.keys();
    if (oldest !== undefined && this.#proofs.size >= MAX_REMEMBERED) this.#proofs.delete(oldest);
    this.#proofs.set(name, proof);
    return { head, proof };
  }
}

async function prove({ orgId, auditLogs }: ContinuityTransaction, before: number, size: number) {
  const ranges = consistencyRanges(before, size);
  const told = new Map<number, Uint8Array>();
  const peaks = await auditLogs.peaks(orgId, before);
  for (const [at, { from }] of peakRanges(before).entries()) {
    const peak = peaks?.[at];
    if (peak !== undefined) told.set(from, peak);
  }
  // A subtree below `before` is one of its peaks.
  const isTold = ({ from, to }: LeafRange) => to <= before && told.has(from);
  const unread = ranges.filter((range) => !isTold(range));
  const builder = new ProofBuilder(sha256, unread);
  const start = Math.min(size, ...unread.map(({ from }) => from));
  for (let from = start; from < size; from += MAX_HEAD_ENTRIES) {
    const page = await auditLogs.entries(orgId, { from, to: size }, MAX_HEAD_ENTRIES);
    for (const { seq, text } of page) builder.add(seq, hashLeaf(sha256, text));
  }
  const roots = builder.proof();
  if (roots === undefined) throw new Problem("audit.tampered", { detail: "Entries are missing." });
  const read = roots[Symbol.iterator]();
  return ranges.map((range) => (isTold(range) ? told.get(range.from) : read.next().value) ?? new Uint8Array());
}
