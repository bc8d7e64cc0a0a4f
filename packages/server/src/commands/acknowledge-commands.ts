import type { CommandPosition, Node } from "../nodes/node-records.ts";
import { type OwnStream, ownStreams } from "../streams/own-stream.ts";
import type { CommandEnd, CommandState, StoredCommand } from "./command-records.ts";
import { endCommands } from "./end-command.ts";
import type { TakeTransaction } from "./take-commands.ts";

export interface Acknowledgement {
  /** On which it came. */
  readonly stream: OwnStream;
  readonly commandId: string;
  readonly state: CommandEnd;
  readonly message: string;
  readonly payload: Uint8Array;
  /** The command was sent on this stream and never before: its number is the one under which the node took it. */
  readonly isOfFirstSending: boolean;
}

/** What a word on a command came to. */
export type Acknowledged =
  /** With the command as it is now. */
  | { readonly done: "ended"; readonly command: StoredCommand }
  /** `fenced`: it came on a stream that is not the node's any more, and changed nothing. */
  | { readonly done: "known" | "unknown" | "fenced" };

/** Ends that only a command has which its node accepted. */
const ACCEPTED: ReadonlySet<CommandEnd> = new Set(["ok", "partial"]);

/** A word that counts: of which node, on what, as it was before. */
interface Counted {
  readonly ack: Acknowledgement;
  readonly node: Node;
  readonly before: StoredCommand;
}

/**
 * Takes nodes' words on how commands ended; the first one on each counts. Where nothing was known but that it may have
 * been done, as of what was taken back from a node that had it, the node's word says what was. Answers in their order.
 * The statements are the same few, however many words there are.
 */
export async function acknowledgeCommands(
  tx: TakeTransaction,
  acks: readonly Acknowledgement[],
): Promise<readonly Acknowledged[]> {
  const own = await ownStreams(
    tx,
    acks.map(({ stream }) => stream),
  );
  const ids = acks.flatMap(({ commandId }, at) => (own[at] === undefined ? [] : [commandId]));
  const held = new Map((await tx.commands.hold(ids)).map((command) => [command.id, command]));
  const counted: Counted[] = [];
  const done = acks.map((ack, at): Acknowledged => {
    const [node, before] = [own[at], held.get(ack.commandId)];
    if (node === undefined) return { done: "fenced" };
    if (before?.nodeId !== node.id || !wasSent(before)) return { done: "unknown" };
    if (!counts(ack, before)) return { done: "known" };
    const command = { ...before, state: ack.state, finishedAt: tx.now() };
    held.set(command.id, command);
    counted.push({ ack, node, before });
    return { done: "ended", command };
  });
  await endCommands(tx, counted.map(toEnded));
  await tx.nodes.moveAll(positionsAfter(counted));
  return done;
}

/** From here, or before the server was put back. */
function wasSent({ seq, state }: StoredCommand): boolean {
  return seq !== undefined || isUnknown(state);
}

function counts({ state }: Acknowledgement, before: StoredCommand): boolean {
  return before.finishedAt === undefined || (isUnknown(before.state) && !isUnknown(state));
}

function isUnknown(state: CommandState): boolean {
  return state === "outcome_unknown";
}

function toEnded({ ack: { state, message, payload: result }, node, before: command }: Counted) {
  return { command, end: { state, message, result, actor: `node:${node.name}` } };
}

/** A refusal moves no node on, nor does what it knows already under an earlier number. */
function positionsAfter(counted: readonly Counted[]): readonly CommandPosition[] {
  const moved = new Map<string, Node>();
  for (const { ack, node, before } of counted) {
    const isThere = ack.isOfFirstSending && ACCEPTED.has(ack.state) && before.epoch === node.epoch;
    const { acknowledgedSeq } = moved.get(node.id) ?? node;
    const { seq = 0 } = before;
    if (isThere && seq > acknowledgedSeq) moved.set(node.id, { ...node, acknowledgedSeq: seq });
  }
  return [...moved.values()];
}
