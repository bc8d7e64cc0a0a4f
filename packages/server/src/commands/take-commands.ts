import { commandTuple } from "@gatehouse/core";
import type { ServerKeys } from "../keys/server-keys.ts";
import type { Node } from "../nodes/node-records.ts";
import { type OwnStream, ownStreams, type StreamTransaction } from "../streams/own-stream.ts";
import type { CommandRecords, ListedCommand, OpenCommand, StoredCommand } from "./command-records.ts";
import { cordonedEnd, type EndedCommand, type EndTransaction, endCommands } from "./end-command.ts";

export interface TakeTransaction extends StreamTransaction, EndTransaction {
  readonly orgId: string;
  readonly commands: CommandRecords;
}

export type CommandKeys = Pick<ServerKeys, "working" | "keySet">;

/** A command as it goes out, with the place in the node's order that its signature fixes. */
export interface SignedOut {
  readonly command: StoredCommand;
  readonly epoch: number;
  readonly seq: number;
  readonly keyId: string;
  readonly signature: Uint8Array;
}

/** What a node may have in its hands at a time. */
const MAX_IN_FLIGHT = 8;
/** Of these, what one member gave: a node that is long at their commands still does another's, to stop a run, say. */
const MAX_OF_ACTOR = 6;

/** What commands of one transaction carry together; what is for one node alone goes, however much that is. */
const MAX_BYTES_AT_ONCE = 4 * 1_048_576;

/** What goes out to a node, and what ends before it does. */
interface Outgoing {
  readonly node: Node;
  readonly signed: readonly SignedOut[];
  readonly ended: readonly EndedCommand[];
}

/**
 * Takes what waits for the nodes whose streams these are: each command gets its node's next number and a signature, so
 * that the order of a stream is the order of the numbers. Answers in the order of the streams; `undefined`: that stream
 * is another one's by now, nothing was taken. The statements are the same few, however many streams there are.
 */
export async function takeCommands(
  tx: TakeTransaction,
  streams: readonly OwnStream[],
  keys: CommandKeys,
): Promise<readonly (readonly SignedOut[] | undefined)[]> {
  const nodes = await ownStreams(tx, streams);
  const serving = nodes.filter((node) => node !== undefined).filter((node) => node.quarantineReason === undefined);
  const nowMs = tx.now();
  const due = await holdDue(tx, serving, nowMs);
  const outgoing = [...due].map(([node, commands]) => signAll({ orgId: tx.orgId, node, nowMs }, commands, keys));
  await write(tx, outgoing);
  const taken = new Map(outgoing.map(({ node, signed }) => [node.id, signed] as const));
  return nodes.map((node) => node && (taken.get(node.id) ?? []));
}

/**
 * What waits for each of these nodes and finds a place, the oldest first. Rows are held by id, over all nodes. One that
 * is taken back meanwhile is left out; whoever did that wakes its node, for what finds the place then. A node whose
 * commands are too much beside the others' has none of them, and is woken to ask again.
 */
async function holdDue(
  { orgId, commands, announce }: TakeTransaction,
  nodes: readonly Node[],
  nowMs: number,
): Promise<ReadonlyMap<Node, readonly StoredCommand[]>> {
  const open = Map.groupBy(await commands.listOpen(nodes.map(({ id }) => id)), ({ nodeId }) => nodeId);
  const chosen: OpenCommand[] = [];
  for (const node of nodes) {
    const own = chooseDue(node, open.get(node.id) ?? [], nowMs);
    if (chosen.length === 0 || bytesOf(chosen) + bytesOf(own) <= MAX_BYTES_AT_ONCE) chosen.push(...own);
    else if (own.length > 0) announce({ kind: "commands", orgId, nodeId: node.id });
  }
  const held = chosen.length === 0 ? [] : await commands.hold(chosen.map(({ id }) => id));
  const due = Map.groupBy(
    held.filter(({ state }) => state === "queued"),
    ({ nodeId }) => nodeId,
  );
  return new Map(nodes.flatMap((node) => (due.has(node.id) ? [[node, due.get(node.id) ?? []]] : [])));
}

function bytesOf(commands: readonly OpenCommand[]): number {
  return commands.reduce((sum, { payloadBytes }) => sum + payloadBytes, 0);
}

/** What goes out, or ends before; `open` holds what a node has in its hands too. */
function chooseDue(node: Node, open: readonly OpenCommand[], nowMs: number): readonly OpenCommand[] {
  const held = new Map<string, number>();
  const take = (actor: string) => held.set(actor, (held.get(actor) ?? 0) + 1);
  const sent = open.filter(({ state }) => state === "sent");
  for (const { actor } of sent) take(actor);
  let places = MAX_IN_FLIGHT - sent.length;
  const chosen: OpenCommand[] = [];
  for (const command of open) {
    if (places <= 0) break;
    if (command.state !== "queued" || (held.get(command.actor) ?? 0) >= MAX_OF_ACTOR) continue;
    chosen.push(command);
    if (endBefore(command, node, nowMs) !== undefined) continue;
    take(command.actor);
    places -= 1;
  }
  return chosen;
}

/** Why a command is not sent. One that was sent before may have been accepted in time: its node knows, and says. */
function endBefore({ seq, notAfter, kind }: ListedCommand, node: Node, nowMs: number) {
  if (seq !== undefined) return undefined;
  if (notAfter <= nowMs) return { state: "expired", message: "" } as const;
  return kind === "start_run" && node.isCordoned ? cordonedEnd(node) : undefined;
}

interface Recipient {
  readonly orgId: string;
  readonly node: Node;
  readonly nowMs: number;
}

function signAll({ orgId, node, nowMs }: Recipient, commands: readonly StoredCommand[], keys: CommandKeys): Outgoing {
  const { epoch } = keys.keySet;
  const first = node.commandSeq + 1;
  const ends = commands.map((command) => ({ command, end: endBefore(command, node, nowMs) }));
  const ended = ends.flatMap(({ command, end }) => (end ? [{ command, end: { ...end, actor: "server" } }] : []));
  const sent = ends.filter(({ end }) => end === undefined);
  const signed = sent.map(({ command }, at) => sign(orgId, { command, epoch, seq: first + at }, keys));
  return { node, signed, ended };
}

function sign(
  orgId: string,
  { command, epoch, seq }: Pick<SignedOut, "command" | "epoch" | "seq">,
  { working }: CommandKeys,
): SignedOut {
  const { nodeId, actor, idempotencyKey, notAfter, payloadSha256 } = command;
  const own = { orgId, nodeId, actor, epoch, seq, commandId: command.id };
  const { id: keyId, key } = working.command;
  const signature = key.sign(commandTuple({ ...own, idempotencyKey, notAfter, payloadSha256 }));
  return { command, epoch, seq, keyId, signature };
}

async function write(tx: TakeTransaction, outgoing: readonly Outgoing[]): Promise<void> {
  const signed = outgoing.flatMap((one) => one.signed);
  await tx.commands.sendAll(signed.map(({ command: { id }, epoch, seq }) => ({ id, epoch, seq })));
  await tx.nodes.moveAll(
    outgoing.flatMap((one) => {
      const last = one.signed.at(-1);
      return last === undefined ? [] : [{ ...one.node, epoch: last.epoch, commandSeq: last.seq }];
    }),
  );
  await endCommands(
    tx,
    outgoing.flatMap((one) => one.ended),
  );
}
