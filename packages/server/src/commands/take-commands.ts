import { commandTuple } from "@gatehouse/core";
import type { ServerKeys } from "../keys/server-keys.ts";
import type { Node } from "../nodes/node-records.ts";
import { type OwnStream, ownsStream, type StreamTransaction } from "../streams/own-stream.ts";
import type { CommandRecords, StoredCommand } from "./command-records.ts";
import { CORDONED, type EndedCommand, type EndTransaction, endCommands } from "./end-command.ts";

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

export interface TakenCommands {
  readonly signed: readonly SignedOut[];
  /** Some are not sent any more: they have their end, and whoever waits for it is to be woken. */
  readonly haveEnded: boolean;
}

const NOTHING: TakenCommands = { signed: [], haveEnded: false };

/** What a node may have in its hands at a time. */
const MAX_IN_FLIGHT = 8;
/** Of these, what one member gave: a node that is long at their commands still does another's, to stop a run, say. */
const MAX_OF_ACTOR = 6;

/**
 * Takes what waits for a node whose stream this is: each command gets the next number and a signature, so that the
 * order of the stream is the order of the numbers. `undefined`: the stream is another one's by now, nothing was taken.
 */
export async function takeCommands(
  tx: TakeTransaction,
  stream: OwnStream,
  keys: CommandKeys,
): Promise<TakenCommands | undefined> {
  const node = await ownsStream(tx, stream);
  return node && takeFor(tx, node, keys);
}

async function takeFor(tx: TakeTransaction, node: Node, keys: CommandKeys): Promise<TakenCommands> {
  if (node.quarantineReason !== undefined) return NOTHING;
  const held = new Map(await tx.commands.countSent(node.id));
  const { epoch } = keys.keySet;
  let seq = node.epoch === epoch ? node.commandSeq : 0;
  const signed: SignedOut[] = [];
  const ended: EndedCommand[] = [];
  for await (const command of inTurn(tx, node.id, held)) {
    const end = endBefore(command, node, tx.now());
    if (end !== undefined) {
      ended.push({ command, end: { ...end, actor: "server" } });
      continue;
    }
    seq += 1;
    await tx.commands.update(command.id, { state: "sent", epoch, seq });
    held.set(command.actor, (held.get(command.actor) ?? 0) + 1);
    signed.push(sign(tx.orgId, { command, epoch, seq }, keys));
  }
  if (signed.length > 0) await tx.nodes.update(node.id, { commandSeq: seq, ...newEpoch(node, epoch) });
  await endCommands(tx, ended);
  return { signed, haveEnded: ended.length > 0 };
}

/** Why a command is not sent. One that was sent before may have been accepted in time: its node knows, and says. */
function endBefore({ seq, notAfter, kind }: StoredCommand, { isCordoned }: Node, nowMs: number) {
  if (seq !== undefined) return undefined;
  if (notAfter <= nowMs) return { state: "expired", message: "" } as const;
  return kind === "start_run" && isCordoned ? CORDONED : undefined;
}

/** What waits for a node and finds a place, the oldest first; `held` says who has how many, and is kept up by the caller. */
async function* inTurn(
  { commands }: TakeTransaction,
  nodeId: string,
  held: ReadonlyMap<string, number>,
): AsyncGenerator<StoredCommand> {
  const isFull = (actor: string) => (held.get(actor) ?? 0) >= MAX_OF_ACTOR;
  for (let after: string | undefined = ""; after !== undefined; ) {
    const limit = MAX_IN_FLIGHT - [...held.values()].reduce((sum, count) => sum + count, 0);
    if (limit <= 0) return;
    const withoutActors = [...held.keys()].filter(isFull);
    const page = await commands.listQueued(nodeId, { after, withoutActors, limit });
    for (const command of page) if (!isFull(command.actor)) yield command;
    after = page.length < limit ? undefined : page.at(-1)?.id;
  }
}

/** Numbers begin anew in an epoch. */
function newEpoch(node: Node, epoch: number): { readonly epoch?: number; readonly acknowledgedSeq?: number } {
  return node.epoch === epoch ? {} : { epoch, acknowledgedSeq: 0 };
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
