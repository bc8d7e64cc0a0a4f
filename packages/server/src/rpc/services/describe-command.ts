import { Ack_Status, SentCommand_State } from "@gatehouse/wire";
import type { CommandEnd, CommandState, ListedCommand, StoredCommand } from "../../commands/command-records.ts";
import type { SignedOut } from "../../commands/take-commands.ts";

const ENDS = {
  [Ack_Status.OK]: "ok",
  [Ack_Status.PARTIAL]: "partial",
  [Ack_Status.BAD_REQUEST]: "bad_request",
  [Ack_Status.INCAPABLE]: "incapable",
  [Ack_Status.BUSY]: "busy",
  [Ack_Status.FORBIDDEN]: "forbidden",
  [Ack_Status.INTERNAL]: "internal",
  [Ack_Status.EXPIRED]: "expired",
  [Ack_Status.OUTCOME_UNKNOWN]: "outcome_unknown",
} as const satisfies Readonly<Record<Exclude<Ack_Status, Ack_Status.UNSPECIFIED>, CommandEnd>>;

const STATES = {
  queued: SentCommand_State.QUEUED,
  sent: SentCommand_State.SENT,
  ok: SentCommand_State.OK,
  partial: SentCommand_State.PARTIAL,
  bad_request: SentCommand_State.BAD_REQUEST,
  incapable: SentCommand_State.INCAPABLE,
  busy: SentCommand_State.BUSY,
  forbidden: SentCommand_State.FORBIDDEN,
  internal: SentCommand_State.INTERNAL,
  expired: SentCommand_State.EXPIRED,
  outcome_unknown: SentCommand_State.OUTCOME_UNKNOWN,
} as const satisfies Readonly<Record<CommandState, SentCommand_State>>;

/** A node's word on a command. Its check let no other status through. */
export function toCommandEnd(status: Ack_Status): CommandEnd {
  return status === Ack_Status.UNSPECIFIED ? "internal" : ENDS[status];
}

/** A command as its node gets it. */
export function toWireCommand({ command, epoch, seq, keyId, signature }: SignedOut) {
  const { id: commandId, idempotencyKey, actor, notAfter, payload, payloadSha256 } = command;
  const place = { epoch: BigInt(epoch), seq: BigInt(seq), notAfter: BigInt(notAfter) };
  return { header: { commandId, idempotencyKey, actor, ...place, payloadSha256, keyId, signature }, payload };
}

/** A command; what it brought back is there where it was read. */
export type Described = ListedCommand & Partial<Pick<StoredCommand, "result">>;

/** A command as operators see it. */
export function describeCommand(command: Described) {
  const { id: commandId, batchId, nodeId, state, message, kind, actor, result, createdAt, finishedAt } = command;
  const { authority = "", withdrawal } = command;
  return {
    commandId,
    batchId,
    nodeId,
    state: STATES[state],
    message,
    payload: result ?? new Uint8Array(),
    kind,
    actor,
    createdAt: BigInt(createdAt),
    finishedAt: BigInt(finishedAt ?? 0),
    authority,
    withdrawnBy: withdrawal?.by ?? "",
    withdrawnWhy: withdrawal?.why ?? "",
  };
}
