import {
  AuditVerifier,
  constantTimeEqual,
  encodeHead,
  MerkleFrontier,
  Problem,
  readEntry,
  type SignedHead,
} from "@gatehouse/core";
import { sha256, verifySignature } from "@gatehouse/kit";
import type { NewEntry, SignedLog } from "./audit-log-records.ts";
import { type StoreTransaction, storeContinuation } from "./store-node-log.ts";
import { noteFault } from "./witness-node-head.ts";

/** What a node copies here, in the order of its log. */
export type CopiedItem =
  | { readonly kind: "entry"; readonly text: string }
  | { readonly kind: "head"; readonly head: SignedHead };

interface CopyTransaction extends StoreTransaction {
  readonly orgId: string;
  readonly now: () => number;
}

export interface CopyDeps {
  readonly nodeId: string;
  readonly orgId: string;
  /** Runs work in a transaction of the node's organisation. */
  readonly inOrg: <T>(work: (tx: CopyTransaction) => Promise<T>) => Promise<T>;
}

/** A segment of a node's log ends with a head, and is 16 MiB and one group long at most. */
const MAX_UNCOVERED_BYTES = 32 * 1_048_576;

/**
 * Stores what continues a node's log: entries count once a head covers them that the node's identity key signed. Returns
 * how many do, also for a stream without items. A log that does not continue what was stored is refused with
 * `audit.forked` and put on record once; nothing of it replaces what is there. Fails with `uploads.too_much`.
 */
export async function copyNodeLog(items: AsyncIterable<CopiedItem>, deps: CopyDeps): Promise<number> {
  const copy = await NodeLogCopy.open(deps);
  try {
    for await (const item of items) {
      if (item.kind === "entry") await copy.takeEntry(item.text);
      else await copy.takeHead(item.head);
    }
  } catch (failure) {
    if (!(failure instanceof Problem) || failure.code !== "audit.tampered") throw failure;
    await deps.inOrg((tx) => reportFork(tx, deps.nodeId));
    throw new Problem("audit.forked", { cause: failure });
  }
  return copy.size;
}

class NodeLogCopy {
  readonly #deps: CopyDeps;
  readonly #key: Uint8Array;
  #log: SignedLog | undefined;
  #verifier: AuditVerifier | undefined;
  #uncovered: NewEntry[] = [];
  #bytes = 0;

  private constructor(deps: CopyDeps, key: Uint8Array, log: SignedLog | undefined) {
    this.#deps = deps;
    this.#key = key;
    this.#log = log;
    if (log !== undefined) this.#begin(log.signedAs, log.tree);
  }

  static async open(deps: CopyDeps): Promise<NodeLogCopy> {
    return deps.inOrg(async ({ nodes, auditLogs }) => {
      const node = await nodes.find(deps.nodeId);
      if (node === undefined) throw new Problem("auth.refused");
      return new NodeLogCopy(deps, node.identityKey, await auditLogs.find(deps.nodeId));
    });
  }

  /** Entries that are stored and covered. */
  get size(): number {
    return this.#log?.tree.size ?? 0;
  }

  async takeEntry(text: string): Promise<void> {
    const { seq, time, kind, node, org } = readEntry(text);
    if (this.#verifier === undefined) this.#begin(await this.#nameOfLog(node), new MerkleFrontier(sha256));
    if (node !== this.#name || (org !== null && org !== this.#deps.orgId)) {
      throw new Problem("audit.tampered", { detail: "An entry is of another log." });
    }
    this.#verifier?.push(text);
    this.#uncovered.push({ seq, time, kind, text });
    this.#bytes += text.length;
    if (this.#bytes > MAX_UNCOVERED_BYTES) throw new Problem("uploads.too_much", { detail: "No head covers it." });
  }

  async takeHead(head: SignedHead): Promise<void> {
    if (head.size <= this.size) return this.#requireKnown(head);
    const tree = this.#verifier?.tree;
    if (tree === undefined) throw new Problem("audit.tampered", { detail: "A head covers entries that did not come." });
    this.#verifier?.push(encodeHead(head));
    const stored = { size: tree.size, peaks: tree.peaks };
    const log = { signedAs: this.#name, key: this.#key, tree: new MerkleFrontier(sha256, stored), forkedAt: undefined };
    await storeContinuation({ from: this.size, entries: this.#uncovered, head, log }, this.#deps);
    this.#log = log;
    this.#uncovered = [];
    this.#bytes = 0;
  }

  #name = "";

  #begin(name: string, tree: MerkleFrontier): void {
    this.#name = name;
    const own = new MerkleFrontier(sha256, { size: tree.size, peaks: tree.peaks });
    this.#verifier = new AuditVerifier({ hash: sha256, verify: verifySignature }, { log: name, key: this.#key }, own);
  }

  /** A log that began before the host was enrolled has an id of its own; it must be nobody else's. */
  async #nameOfLog(name: string | null): Promise<string> {
    const { nodeId, orgId, inOrg } = this.#deps;
    const isFree = name !== null && name !== orgId;
    if (isFree && (name === nodeId || (await inOrg(({ nodes }) => nodes.find(name))) === undefined)) return name;
    throw new Problem("audit.tampered", { detail: "The log has another's id." });
  }

  /** A head of what is stored already: of another tree, the node's log is another than the one that it sent. */
  async #requireKnown(head: SignedHead): Promise<void> {
    const known = await this.#deps.inOrg(({ auditLogs }) => auditLogs.head(this.#deps.nodeId, head.size));
    if (known !== undefined && constantTimeEqual(known.root, head.root)) return;
    throw new Problem("audit.tampered", { detail: `A head of ${head.size} entries was never sent before.` });
  }
}

async function reportFork(tx: CopyTransaction, nodeId: string): Promise<void> {
  const node = await tx.nodes.lock(nodeId);
  await tx.auditLogs.lock();
  const log = await tx.auditLogs.find(nodeId);
  const seen = log?.tree.size ?? 0;
  if (log !== undefined) await tx.auditLogs.save(nodeId, { ...log, forkedAt: log.forkedAt ?? tx.now() });
  if (node !== undefined) await noteFault(tx, node, { fault: "forked", said: seen, seen });
}
