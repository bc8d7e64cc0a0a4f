import { type OwnStream, ownsStream } from "../streams/own-stream.ts";
import type { CommandEnd, CommandState } from "./command-records.ts";
import { endCommands } from "./end-command.ts";
import type { TakeTransaction } from "./take-commands.ts";

export interface Acknowledgement {
  readonly commandId: string;
  readonly state: CommandEnd;
  readonly message: string;
  readonly payload: Uint8Array;
  /** The command was sent on this stream and never before: its number is the one under which the node took it. */
  readonly isOfFirstSending: boolean;
}

/** Ends that only a command has which its node accepted. */
const ACCEPTED: ReadonlySet<CommandEnd> = new Set(["ok", "partial"]);

/** `fenced`: it came on a stream that is not the node's any more, and changed nothing. */
export type Acknowledged = "ended" | "known" | "unknown" | "fenced";

/**
 * Takes a node's word on how a command ended; the first one counts. Where nothing was known but that it may have been
 * done, as of what was taken back from a node that had it, the node's word says what was.
 */
export async function acknowledgeCommand(
  tx: TakeTransaction,
  stream: OwnStream,
  ack: Acknowledgement,
): Promise<Acknowledged> {
  const node = await ownsStream(tx, stream);
  if (node === undefined) return "fenced";
  const command = await tx.commands.hold(ack.commandId);
  if (command?.nodeId !== node.id || command.seq === undefined) return "unknown";
  const { state, message, payload: result } = ack;
  if (command.finishedAt !== undefined && !(isUnknown(command.state) && !isUnknown(state))) return "known";
  await endCommands(tx, [{ command, end: { state, message, result, actor: `node:${node.name}` } }]);
  // A refusal moves no node on, nor does what it knows already under an earlier number.
  const isThere = ack.isOfFirstSending && ACCEPTED.has(state) && command.epoch === node.epoch;
  if (isThere && command.seq > node.acknowledgedSeq) {
    await tx.nodes.update(node.id, { acknowledgedSeq: command.seq });
  }
  return "ended";
}

function isUnknown(state: CommandState): boolean {
  return state === "outcome_unknown";
}
