import { constantTimeEqual, makeUuid, Problem, type Random } from "@gatehouse/core";
import { sha256 } from "@gatehouse/kit";
import type { Node, NodeRecords } from "../nodes/node-records.ts";
import type { StoredCommand } from "./command-records.ts";
import { type EndTransaction, endCommand } from "./end-command.ts";

/** Whom a command is for: nodes by id, or all that have these labels. */
export type CommandTargets =
  | { readonly nodeIds: readonly string[] }
  | { readonly labels: Readonly<Record<string, string>> };

export interface SendInput {
  readonly actor: string;
  readonly targets: CommandTargets;
  /** A serialised `CommandPayload`. */
  readonly payload: Uint8Array;
  /** Its kind, as `start_run`. */
  readonly kind: string;
  readonly idempotencyKey: string;
  readonly ttlMs: number;
}

export interface SendTransaction extends EndTransaction {
  readonly nodes: NodeRecords;
}

export interface SentBatch {
  readonly batchId: string;
  readonly commands: readonly StoredCommand[];
}

/** What waits for one node; more is answered with `busy`. */
const MAX_QUEUED = 64;
/** A batch reaches this many nodes. */
const MAX_TARGETS = 10_000;

/**
 * Queues a command for each node, on record. The same key with the same payload is the same command, whatever came of
 * it; one that was refused before it was sent is tried again. Fails with `nodes.not_found`, `commands.key_reused`.
 */
export async function sendCommand(tx: SendTransaction, input: SendInput, random: Random): Promise<SentBatch> {
  const own = { ...input, batchId: makeUuid(tx.now(), random), payloadSha256: sha256(input.payload) };
  const commands: StoredCommand[] = [];
  for (const node of await findTargets(tx, input.targets)) commands.push(await sendOne(tx, { ...own, node }, random));
  return { batchId: commonBatch(commands) ?? own.batchId, commands };
}

async function findTargets(tx: SendTransaction, targets: CommandTargets): Promise<readonly Node[]> {
  if ("labels" in targets) {
    const found = await tx.nodes.list({ state: "confirmed", labels: targets.labels, limit: MAX_TARGETS });
    if (found.length === 0) throw new Problem("nodes.not_found", { detail: "No node has these labels." });
    return found;
  }
  const nodes = await Promise.all([...new Set(targets.nodeIds)].map((id) => tx.nodes.find(id)));
  return nodes.map((node) => {
    if (node?.state !== "confirmed") throw new Problem("nodes.not_found");
    return node;
  });
}

interface OneSending extends SendInput {
  readonly batchId: string;
  readonly payloadSha256: Uint8Array;
  readonly node: Node;
}

async function sendOne(tx: SendTransaction, sending: OneSending, random: Random): Promise<StoredCommand> {
  const { node, idempotencyKey, payloadSha256 } = sending;
  const before = await tx.commands.findByKey(node.id, idempotencyKey);
  if (before !== undefined && !constantTimeEqual(before.payloadSha256, payloadSha256)) {
    throw new Problem("commands.key_reused");
  }
  if (before !== undefined && !wasTurnedAway(before)) return before;
  const id = await queue(tx, sending, before?.id ?? makeUuid(tx.now(), random));
  const queued = await findQueued(tx, id);
  const { actor, kind, batchId } = sending;
  await tx.audit.append({ kind: "command.issued", actor, node: node.id, data: { command: id, kind, batch: batchId } });
  const why = await whyNot(tx, sending);
  if (why === undefined) return queued;
  await endCommand(tx, queued, { ...why, actor: "server" });
  return findQueued(tx, id);
}

/** It never left the server, so it may be tried again under its own key. */
function wasTurnedAway({ state, seq }: StoredCommand): boolean {
  return seq === undefined && (state === "busy" || state === "forbidden");
}

async function queue(tx: SendTransaction, sending: OneSending, id: string): Promise<string> {
  const { node, batchId, idempotencyKey, actor, kind, payload, payloadSha256, ttlMs } = sending;
  const notAfter = tx.now() + ttlMs;
  if ((await tx.commands.find(id)) !== undefined) {
    await tx.commands.update(id, { batchId, notAfter, state: "queued", message: "", finishedAt: null });
    return id;
  }
  const own = { id, batchId, nodeId: node.id, idempotencyKey, actor, kind };
  await tx.commands.insert({ ...own, payload, payloadSha256, notAfter });
  return id;
}

async function findQueued(tx: SendTransaction, id: string): Promise<StoredCommand> {
  const stored = await tx.commands.find(id);
  if (stored === undefined) throw new Error("a command that was just stored is not there");
  return stored;
}

async function whyNot(tx: SendTransaction, { node, kind }: OneSending) {
  if (kind === "start_run" && node.isCordoned) {
    return { state: "forbidden", message: "The node is cordoned: it admits no new run." } as const;
  }
  const waiting = await tx.commands.countOpen(node.id, "queued");
  if (waiting <= MAX_QUEUED) return undefined;
  return { state: "busy", message: `${MAX_QUEUED} commands wait for this node already.` } as const;
}

/** The batch of a call that was made before, as a whole. */
function commonBatch(commands: readonly StoredCommand[]): string | undefined {
  const [first] = commands;
  return commands.every(({ batchId }) => batchId === first?.batchId) ? first?.batchId : undefined;
}
