import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { makeUuid, Problem, type ProblemCode, systemClock, systemRandom } from "@gatehouse/core";
import { CommandPayloadSchema, type SentCommand, SentCommand_State } from "@gatehouse/wire";
import type { Operator } from "./open-operator.ts";

/** What a command asks for. */
export type CommandKind = NonNullable<MessageInitShape<typeof CommandPayloadSchema>["kind"]>;

export interface CommandOptions {
  /** How long the node may take to begin. */
  readonly ttlMs?: number;
  /** How long it may take from then on. */
  readonly withinMs?: number;
  /** The same key is the same command, however often this is called. Default: a new one. */
  readonly idempotencyKey?: string;
  /** The server has it. */
  readonly onSent?: () => void;
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

interface Sending extends CommandOptions {
  readonly kind: CommandKind;
}

/**
 * Gives a node a command and waits for its end. Fails with `commands.refused`, `commands.failed`, or
 * `commands.unanswered` when the node did not take it in time.
 */
export async function commandNode(
  operator: Pick<Operator, "nodes">,
  nodeId: string,
  asked: Sending,
): Promise<SentCommand> {
  return requireDone((await sendToNodes(operator, [nodeId], asked)).commands[0]);
}

export interface FollowedBatch {
  readonly batchId: string;
  readonly commands: readonly SentCommand[];
}

/** Gives nodes one command and waits for all ends, or as long as it may take; each says how it ended. */
export async function sendToNodes(
  { nodes }: Pick<Operator, "nodes">,
  nodeIds: readonly string[],
  asked: Sending,
): Promise<FollowedBatch> {
  const {
    kind,
    ttlMs = DEFAULT_TTL_MS,
    withinMs = GRACE_MS,
    idempotencyKey = makeUuid(systemClock.now(), systemRandom),
  } = asked;
  const payload = toBinary(CommandPayloadSchema, create(CommandPayloadSchema, { kind }));
  const sent = { nodeIds: [...nodeIds], payload, idempotencyKey, ttlMs: BigInt(ttlMs) };
  const { batchId, ...first } = await nodes.sendCommand(sent);
  asked.onSent?.();
  let { commands } = first;
  const deadline = systemClock.monotonicMs() + ttlMs + withinMs;
  while (commands.some(({ finishedAt }) => finishedAt === 0n) && systemClock.monotonicMs() < deadline) {
    ({ commands } = await nodes.listCommands({ batchId, waitMs: BigInt(WAIT_MS) }));
  }
  return { batchId, commands };
}

/** Fails as a command did, by the node's own words. */
export function requireDone(command: SentCommand | undefined): SentCommand {
  if (command === undefined) throw new Problem("commands.not_found");
  const { state, message } = command;
  if (state === SentCommand_State.OK || state === SentCommand_State.PARTIAL) return command;
  const name = SentCommand_State[state].toLowerCase().replaceAll("_", " ");
  const code = REFUSALS[state] ?? "commands.failed";
  // A refusal is said by its reason.
  const said = [code === "commands.refused" && message !== "" ? "" : `${name}.`, message];
  throw new Problem(code, { detail: `It says: ${said.filter((part) => part !== "").join(" ")}` });
}
