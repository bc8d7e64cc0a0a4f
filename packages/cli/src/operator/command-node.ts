import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { makeUuid, Problem, type ProblemCode, systemClock, systemRandom } from "@gatehouse/core";
import { CommandPayloadSchema, type SentCommand, SentCommand_State } from "@gatehouse/wire";
import type { Operator } from "./open-operator.ts";

type CommandKind = NonNullable<MessageInitShape<typeof CommandPayloadSchema>["kind"]>;

export interface CommandOptions {
  /** How long the node may take to begin. */
  readonly ttlMs?: number;
  /** How long it may take from then on. */
  readonly withinMs?: number;
  /** The same key is the same command, however often this is called. Default: a new one. */
  readonly idempotencyKey?: string;
}

const DEFAULT_TTL_MS = 60_000;
const WAIT_MS = 20_000;
const GRACE_MS = 10_000;

const REFUSALS: Readonly<Partial<Record<SentCommand_State, ProblemCode>>> = {
  [SentCommand_State.BAD_REQUEST]: "commands.refused",
  [SentCommand_State.INCAPABLE]: "commands.refused",
  [SentCommand_State.FORBIDDEN]: "commands.refused",
  [SentCommand_State.BUSY]: "commands.refused",
  [SentCommand_State.EXPIRED]: "commands.unanswered",
  [SentCommand_State.QUEUED]: "commands.unanswered",
  [SentCommand_State.SENT]: "commands.unanswered",
};

/**
 * Gives a node a command and waits for its end. Fails with `commands.refused`, `commands.failed`, or
 * `commands.unanswered` when the node did not take it in time.
 */
export async function commandNode(
  { nodes }: Pick<Operator, "nodes">,
  nodeId: string,
  asked: CommandOptions & { readonly kind: CommandKind },
): Promise<SentCommand> {
  const {
    kind,
    ttlMs = DEFAULT_TTL_MS,
    withinMs = GRACE_MS,
    idempotencyKey = makeUuid(systemClock.now(), systemRandom),
  } = asked;
  const payload = toBinary(CommandPayloadSchema, create(CommandPayloadSchema, { kind }));
  const sent = await nodes.sendCommand({ nodeIds: [nodeId], payload, idempotencyKey, ttlMs: BigInt(ttlMs) });
  const deadline = systemClock.monotonicMs() + ttlMs + withinMs;
  let [command] = sent.commands;
  while (command !== undefined && command.finishedAt === 0n && systemClock.monotonicMs() < deadline) {
    const { commandId } = command;
    [command] = (await nodes.listCommands({ commandId, waitMs: BigInt(WAIT_MS) })).commands;
  }
  return requireDone(command);
}

function requireDone(command: SentCommand | undefined): SentCommand {
  if (command === undefined) throw new Problem("commands.not_found");
  const { state, message } = command;
  if (state === SentCommand_State.OK || state === SentCommand_State.PARTIAL) return command;
  const name = SentCommand_State[state].toLowerCase().replaceAll("_", " ");
  const detail = message === "" ? `It says: ${name}.` : `It says: ${name}. ${message}`;
  throw new Problem(REFUSALS[state] ?? "commands.failed", { detail });
}
