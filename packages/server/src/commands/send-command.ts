import { constantTimeEqual, makeUuid, Problem, type Random } from "@gatehouse/core";
import { sha256 } from "@gatehouse/kit";
import type { Node, NodeRecords } from "../nodes/node-records.ts";
import type { NewBatch, StoredCommand } from "./command-records.ts";
import { cordonedEnd, type EndTransaction, endCommands } from "./end-command.ts";
import { type CommandRight, holdRight, type RightTransaction } from "./hold-right.ts";

/** Whom a command is for: nodes by id, or all that have these labels. */
export type CommandTargets =
  | { readonly nodeIds: readonly string[] }
  | { readonly labels: Readonly<Record<string, string>> };

export interface SendInput extends CommandRight {
  readonly actor: string;
  readonly targets: CommandTargets;
  /** A serialised `CommandPayload`. */
  readonly payload: Uint8Array;
  /** Its kind, as `start_run`. */
  readonly kind: string;
  readonly idempotencyKey: string;
  readonly ttlMs: number;
}

export interface SendTransaction extends EndTransaction, RightTransaction {
  readonly nodes: NodeRecords;
}

export interface SentBatch {
  readonly batchId: string;
  readonly commands: readonly StoredCommand[];
}

/** What waits for one node; more is answered with `busy`. */
const MAX_QUEUED = 64;
/** Of these, what one member gave: nobody has all places for themselves. */
const MAX_QUEUED_OF_ACTOR = 48;
/** A batch reaches this many nodes. */
const MAX_TARGETS = 10_000;

const CROWDED = {
  state: "busy",
  message: `${MAX_QUEUED} commands wait for this node already, or ${MAX_QUEUED_OF_ACTOR} of yours.`,
} as const;

/**
 * Queues a command for each node, on record. The same key with the same payload is the same command, whatever came of
 * it; one that was refused before it was sent is tried again. Fails with `nodes.not_found`, `api.too_many` where more
 * nodes have the labels than a batch reaches, `commands.key_reused`, and as `holdRight` does.
 */
export async function sendCommand(tx: SendTransaction, input: SendInput, random: Random): Promise<SentBatch> {
  const { idempotencyKey, ttlMs, payload } = input;
  await holdRight(tx, input);
  const nodes = await findTargets(tx, input.targets);
  const nodeIds = nodes.map(({ id }) => id);
  const now = tx.now();
  const batch = { ...input, batchId: makeUuid(now, random), payloadSha256: sha256(payload), notAfter: now + ttlMs };
  const before = byNode(await tx.commands.holdByKey(nodeIds, idempotencyKey));
  for (const one of before.values()) {
    if (!constantTimeEqual(one.payloadSha256, batch.payloadSha256)) throw new Problem("commands.key_reused");
  }
  const due = nodes.filter(({ id }) => isDue(before.get(id)));
  await queueAll(tx, batch, { due, before, random });
  const stored = byNode(await tx.commands.listByKey(nodeIds, idempotencyKey));
  const commands = nodes.map(({ id }) => {
    const command = stored.get(id);
    if (command === undefined) throw new Error("a command that was just stored is not there");
    return command;
  });
  return { batchId: commonBatch(commands) ?? batch.batchId, commands };
}

async function findTargets(tx: SendTransaction, targets: CommandTargets): Promise<readonly Node[]> {
  if ("labels" in targets) {
    const found = await tx.nodes.list({ state: "confirmed", labels: targets.labels, limit: MAX_TARGETS + 1 });
    if (found.length === 0) throw new Problem("nodes.not_found", { detail: "No node has these labels." });
    if (found.length > MAX_TARGETS) {
      throw new Problem("api.too_many", { detail: `More than ${MAX_TARGETS} nodes have these labels.` });
    }
    return found;
  }
  const nodes = await Promise.all([...new Set(targets.nodeIds)].map((id) => tx.nodes.find(id)));
  return nodes.map((node) => {
    if (node?.state !== "confirmed") throw new Problem("nodes.not_found");
    return node;
  });
}

/** What one call queues: for whom, and what came of the same key before. */
interface Queueing {
  readonly due: readonly Node[];
  readonly before: ReadonlyMap<string, StoredCommand>;
  readonly random: Random;
}

/** Stores them all, each on record, and gives its end to what cannot be sent. */
async function queueAll(tx: SendTransaction, batch: NewBatch, { due, before, random }: Queueing): Promise<void> {
  const { actor, authority, kind, batchId, notAfter } = batch;
  const given = { actor, authority, batchId, notAfter };
  // In one order, so that two calls under one key do not wait for each other.
  const nodeIds = due.map(({ id }) => id).sort();
  const commands = nodeIds.map((nodeId) => ({ nodeId, id: before.get(nodeId)?.id ?? makeUuid(tx.now(), random) }));
  const again = commands.filter(({ nodeId }) => before.has(nodeId));
  for (const { id } of again) {
    await tx.commands.update(id, { ...given, state: "queued", message: "", finishedAt: null, withdrawal: null });
  }
  await tx.commands.insertAll(
    batch,
    commands.filter(({ nodeId }) => !before.has(nodeId)),
  );
  const issued = { kind: "command.issued", actor };
  await tx.audit.appendAll(
    commands.map(({ id, nodeId }) => ({ ...issued, node: nodeId, data: { command: id, kind, batch: batchId } })),
  );
  await turnAway(tx, batch, due);
}

/** What never left the server may be tried again under its own key, unless somebody wanted it not to be done. */
function isDue(before: StoredCommand | undefined): boolean {
  if (before === undefined) return true;
  if (before.withdrawal?.why === "cancelled") return false;
  return before.seq === undefined && (before.state === "busy" || before.state === "forbidden");
}

async function turnAway(
  tx: SendTransaction,
  { actor, kind, idempotencyKey }: NewBatch,
  due: readonly Node[],
): Promise<void> {
  const isRefused = ({ isCordoned }: Node) => kind === "start_run" && isCordoned;
  const cordoned = new Map(due.filter(isRefused).map((node) => [node.id, cordonedEnd(node)]));
  const crowded = await tx.commands.listCrowded(
    due.map(({ id }) => id),
    { all: MAX_QUEUED, own: MAX_QUEUED_OF_ACTOR, actor },
  );
  const refused = byNode(await tx.commands.listByKey([...cordoned.keys(), ...crowded], idempotencyKey));
  const ended = [...refused].map(([nodeId, command]) => {
    const why = cordoned.get(nodeId) ?? CROWDED;
    return { command, end: { ...why, actor: "server" } };
  });
  await endCommands(tx, ended);
}

function byNode(commands: readonly StoredCommand[]): ReadonlyMap<string, StoredCommand> {
  return new Map(commands.map((command) => [command.nodeId, command]));
}

/** The batch of a call that was made before, as a whole. */
function commonBatch(commands: readonly StoredCommand[]): string | undefined {
  const [first] = commands;
  return commands.every(({ batchId }) => batchId === first?.batchId) ? first?.batchId : undefined;
}
