import { fromBinary } from "@bufbuild/protobuf";
import { commandTuple, constantTimeEqual } from "@gatehouse/core";
import { type KeySetDocument, keysFor, sha256, verifySignature } from "@gatehouse/kit";
import {
  Ack_Status,
  type CheckMessage,
  type Command,
  type CommandHeader,
  type CommandPayload,
  CommandPayloadSchema,
} from "@gatehouse/wire";
import type { CommandJournal, JournalEntry } from "./command-journal.ts";

/** What a command is judged by. */
export interface CommandCourt {
  readonly orgId: string;
  readonly nodeId: string;
  readonly keySet: KeySetDocument;
  readonly journal: Pick<CommandJournal, "find" | "findByKey" | "position">;
  readonly check: CheckMessage;
  /** The server's time. */
  readonly now: () => number;
}

/** What is to be done with a command. */
export type Verdict =
  | { readonly kind: "execute"; readonly header: CommandHeader; readonly payload: CommandPayload }
  /** It was accepted before: its state is the answer. */
  | { readonly kind: "known"; readonly header: CommandHeader; readonly entry: JournalEntry }
  | { readonly kind: "refuse"; readonly status: Ack_Status; readonly why: string };

const MAX_AHEAD_MS = 86_400_000;

/**
 * Judges a command, in this order: who signed it and for whom, whether it was accepted before, its time, its place in
 * the order, its form. Nothing is executed that does not pass all of it.
 */
export function judgeCommand({ header, payload }: Command, court: CommandCourt): Verdict {
  if (header === undefined) return refuse(Ack_Status.BAD_REQUEST, "It has no header.");
  if (!isOurs(header, payload, court)) {
    return refuse(Ack_Status.FORBIDDEN, "It is not signed for this node by a key of the server's key set.");
  }
  const known = findKnown(header, court);
  if (known !== undefined) return known;
  const late = judgeTime(header, court) ?? judgeOrder(header, court);
  return late ?? readPayload(header, payload, court);
}

/** The node's own id is part of what was signed: a command for another one does not verify. */
function isOurs(header: CommandHeader, payload: Uint8Array, { orgId, nodeId, keySet }: CommandCourt): boolean {
  const { actor, commandId, idempotencyKey, payloadSha256, keyId, signature } = header;
  const counted = { epoch: Number(header.epoch), seq: Number(header.seq), notAfter: Number(header.notAfter) };
  const isCounted = Object.values(counted).every((count) => Number.isSafeInteger(count) && count > 0);
  // For another epoch it would stand before all that keys of a later one sign.
  if (!isCounted || counted.epoch !== keySet.epoch || !constantTimeEqual(sha256(payload), payloadSha256)) return false;
  const tuple = commandTuple({ orgId, nodeId, actor, commandId, idempotencyKey, payloadSha256, ...counted });
  return keysFor(keySet, "command").some(({ id, key }) => id === keyId && verifySignature(key, tuple, signature));
}

function findKnown(header: CommandHeader, { journal }: CommandCourt): Verdict | undefined {
  const { commandId, idempotencyKey, payloadSha256 } = header;
  const same = journal.find(commandId);
  if (same !== undefined) return { kind: "known", header, entry: same };
  const alike = journal.findByKey(idempotencyKey);
  if (alike === undefined) return undefined;
  if (!constantTimeEqual(alike.payloadSha256, payloadSha256)) {
    return refuse(Ack_Status.BAD_REQUEST, "Its idempotency key belongs to another command.");
  }
  if (alike.outcome === undefined) return refuse(Ack_Status.BUSY, "The same command is being executed.");
  return { kind: "known", header, entry: { ...alike, commandId } };
}

function judgeTime({ notAfter }: CommandHeader, { now }: CommandCourt): Verdict | undefined {
  const leftMs = Number(notAfter) - now();
  if (leftMs <= 0) return refuse(Ack_Status.EXPIRED, "Its time is over.");
  // With room for the time that the answer to the clock's question took.
  return leftMs > MAX_AHEAD_MS + 60_000 ? refuse(Ack_Status.BAD_REQUEST, "Its time is too far ahead.") : undefined;
}

function judgeOrder({ epoch, seq }: CommandHeader, { journal }: CommandCourt): Verdict | undefined {
  const last = journal.position();
  if (last === undefined || epoch > last.epoch || (epoch === last.epoch && seq > last.seq)) return undefined;
  return refuse(Ack_Status.BAD_REQUEST, "A later command was accepted already.");
}

function readPayload(header: CommandHeader, bytes: Uint8Array, { check }: CommandCourt): Verdict {
  try {
    const payload = fromBinary(CommandPayloadSchema, bytes);
    check(CommandPayloadSchema, payload);
    return { kind: "execute", header, payload };
  } catch {
    // A newer server may know kinds that this node does not; what it cannot read, it does not do.
    return refuse(Ack_Status.INCAPABLE, "This node cannot read what the command asks for.");
  }
}

function refuse(status: Ack_Status, why: string): Verdict {
  return { kind: "refuse", status, why };
}
