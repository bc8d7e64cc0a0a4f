import { randomUUID } from "node:crypto";
import { type AuditHead, constantTimeEqual, Problem, type SignedHead } from "@gatehouse/core";
import type { Node, NodeRecords } from "../nodes/node-records.ts";
import type { AuditLogRecords, NewEntry, SignedLog } from "./audit-log-records.ts";
import type { CopyRecords } from "./copy-records.ts";
import { clearFault, type FaultTransaction } from "./witness-node-head.ts";
import type { WitnessRecords } from "./witness-records.ts";

export interface StoreTransaction extends FaultTransaction {
  readonly auditLogs: AuditLogRecords;
  readonly copies: CopyRecords;
  readonly nodes: NodeRecords;
  readonly witnesses: WitnessRecords;
}

export interface StoreDeps {
  readonly nodeId: string;
  /** Runs work in a transaction of the node's organisation. */
  readonly inOrg: <T>(work: (tx: StoreTransaction) => Promise<T>) => Promise<T>;
}

/** What continues a node's log, verified, and the head that covers it. */
export interface Continuation {
  /** Entries that were there when it was read. */
  readonly from: number;
  readonly entries: readonly NewEntry[];
  readonly head: SignedHead;
  readonly log: SignedLog;
}

/** One transaction writes no more: whoever else writes has a turn between two of them. */
export const MAX_SLICE_ENTRIES = 1_000;
const MAX_SLICE_BYTES = 262_144;

/**
 * Stores what continues a node's log: all of it, or nothing that anybody reads, as what no head covers is part of no
 * log. Where it takes several transactions, head and log come with the last. Fails with `uploads.out_of_order` when
 * another stream of the node was faster, or began later; with `audit.tampered` when a head that was witnessed is not in it.
 */
export async function storeContinuation(next: Continuation, deps: StoreDeps): Promise<void> {
  const [first = [], ...rest] = cut(next.entries);
  if (rest.length === 0 && (await deps.inOrg((tx) => storeAtOnce(tx, next, deps.nodeId)))) return;
  const writer = randomUUID();
  await begin(writer, next, deps);
  const slices = [first, ...rest];
  const last = slices.pop() ?? [];
  for (const slice of slices) {
    await deps.inOrg(async (tx) => {
      await requireWriter(tx, deps.nodeId, writer);
      await tx.auditLogs.insertEntries(deps.nodeId, slice);
    });
  }
  await deps.inOrg(async (tx) => {
    const node = await lockNode(tx, deps.nodeId);
    await requireWriter(tx, deps.nodeId, writer);
    await cover(tx, { ...next, entries: last }, node);
    await tx.copies.end(deps.nodeId);
  });
}

/** Removes some of what was left behind a node's log; whether there is more. */
export async function removeLeft(tx: StoreTransaction, nodeId: string): Promise<boolean> {
  const there = (await tx.auditLogs.find(nodeId))?.tree.size ?? 0;
  return await tx.auditLogs.removeBehind(nodeId, there, MAX_SLICE_ENTRIES);
}

/** False where something was left behind the log: that goes first. */
async function storeAtOnce(tx: StoreTransaction, next: Continuation, nodeId: string): Promise<boolean> {
  const node = await lockNode(tx, nodeId);
  await tx.auditLogs.lock();
  if (await tx.copies.isBegun(nodeId)) return false;
  await cover(tx, next, node);
  return true;
}

/** Before the organisation's logs, like everybody who needs both. */
async function lockNode(tx: StoreTransaction, nodeId: string): Promise<Node> {
  const node = await tx.nodes.lock(nodeId);
  if (node === undefined) throw new Problem("auth.refused");
  return node;
}

async function begin(writer: string, next: Continuation, { nodeId, inOrg }: StoreDeps): Promise<void> {
  let isLeft = await inOrg(async (tx) => {
    await lockNode(tx, nodeId);
    await tx.auditLogs.lock();
    await requirePlace(tx, next, nodeId);
    await tx.copies.begin(nodeId, writer);
    return await removeLeft(tx, nodeId);
  });
  while (isLeft) {
    isLeft = await inOrg(async (tx) => {
      await requireWriter(tx, nodeId, writer);
      return await removeLeft(tx, nodeId);
    });
  }
}

async function requireWriter(tx: StoreTransaction, nodeId: string, writer: string): Promise<void> {
  await tx.auditLogs.lock();
  if (await tx.copies.goOn(nodeId, writer)) return;
  throw new Problem("uploads.out_of_order", { detail: "Another stream of the node began." });
}

async function cover(tx: StoreTransaction, next: Continuation, node: Node): Promise<void> {
  const { entries, head, log } = next;
  const nodeId = node.id;
  const witnessed = await requirePlace(tx, next, nodeId);
  await tx.auditLogs.insertEntries(nodeId, entries);
  await tx.auditLogs.insertHead(nodeId, head);
  await tx.auditLogs.save(nodeId, log);
  if (head.size >= (witnessed?.size ?? 0)) await clearFault(tx, node);
}

/** A log goes through each head that the node said before: here between the last one that is stored and the next. */
async function requirePlace(
  tx: StoreTransaction,
  { from, head }: Pick<Continuation, "from" | "head">,
  nodeId: string,
): Promise<AuditHead | undefined> {
  const there = (await tx.auditLogs.find(nodeId))?.tree.size ?? 0;
  // Another stream of the node was faster: what it stored is asked for again.
  if (there !== from) throw new Problem("uploads.out_of_order", { detail: `It goes on at ${there}.` });
  const witnessed = (await tx.witnesses.listOfNode(nodeId)).find(({ subject }) => subject === "node");
  if (witnessed === undefined || witnessed.size <= there || witnessed.size > head.size) return witnessed;
  if (witnessed.size === head.size && constantTimeEqual(witnessed.root, head.root)) return witnessed;
  throw new Problem("audit.tampered", {
    detail: `The head of ${witnessed.size} entries that was witnessed is not in it.`,
  });
}

function cut(entries: readonly NewEntry[]): readonly (readonly NewEntry[])[] {
  const slices: NewEntry[][] = [];
  let bytes = 0;
  for (const entry of entries) {
    const last = slices.at(-1);
    bytes += entry.text.length;
    if (last === undefined || last.length >= MAX_SLICE_ENTRIES || bytes > MAX_SLICE_BYTES) {
      slices.push([entry]);
      bytes = entry.text.length;
    } else {
      last.push(entry);
    }
  }
  return slices;
}
