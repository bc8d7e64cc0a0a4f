import { setTimeout as delay } from "node:timers/promises";
import { makeUuid, systemClock, systemRandom, toProblem } from "@gatehouse/core";
import type { Node } from "@gatehouse/wire";
import { exitCodeOf, type Interrupts } from "../terminal/interrupts.ts";
import { note } from "../terminal/print.ts";
import { type CommandKind, commandNode } from "./command-node.ts";
import type { Operator } from "./open-operator.ts";

/** What begins on a node: a run, or a further command in one. */
export interface NodeStart {
  readonly node: Pick<Node, "id" | "name">;
  /** By which it can be ended. */
  readonly id: string;
  readonly kind: CommandKind;
  /** As people are told of it: `run 1f2e…`. */
  readonly what: string;
  /** What they can do about one of which nobody knows. */
  readonly remedy: string;
  readonly interrupts: Interrupts;
}

/** How long a node may take to end what was interrupted; one that is away does so when it comes. */
const ENDED_WITHIN_MS = 15_000;
const SLOW_AFTER_MS = 3_000;

/**
 * Starts something on a node; answers `undefined` when it runs. A signal meanwhile has it ended, or never started, says
 * which, and answers the exit code of an interrupted command.
 */
export async function startOnNode(operator: Operator, start: NodeStart): Promise<number | undefined> {
  const { node, kind, what, remedy, interrupts } = start;
  const interrupted = interrupts.hold(`left: whether ${what} goes on is not known; ${remedy}`);
  const sent = Promise.withResolvers<void>();
  const idempotencyKey = makeUuid(systemClock.now(), systemRandom);
  const started = commandNode(operator, node.id, { kind, idempotencyKey, onSent: sent.resolve });
  const slow = setTimeout(() => note(`waiting for ${node.name} to take it; Ctrl-C ends this`), SLOW_AFTER_MS);
  try {
    const signal = await Promise.race([started.then(() => undefined), interrupted]);
    if (signal === undefined) return undefined;
    note(`interrupted: ${node.name} is told to end ${what}`);
    // The node obeys in order: the word to end it must not overtake the one to start it.
    await Promise.race([sent.promise, started.catch(() => undefined)]);
    note(await endStarted(operator, start, started));
    return exitCodeOf(signal);
  } finally {
    clearTimeout(slow);
  }
}

/** Says what became of it. */
async function endStarted(
  operator: Operator,
  { node, id, what, remedy }: NodeStart,
  started: Promise<unknown>,
): Promise<string> {
  const ended = commandNode(operator, node.id, { kind: { case: "stopRun", value: { runId: id } } });
  const late = new AbortController();
  const tooLate = delay(ENDED_WITHIN_MS, undefined, { signal: late.signal }).catch(() => undefined);
  try {
    const end = await Promise.race([Promise.allSettled([ended]), tooLate]);
    if (end === undefined) return `${node.name} has not answered: it ends ${what} should it ever start it`;
    if (end[0].status === "fulfilled") return `${what} was ended`;
    const start = await Promise.race([Promise.allSettled([started]), tooLate]);
    if (start?.[0].status === "rejected") return `${what} was never started. ${toProblem(start[0].reason).message}`;
    return `whether ${what} goes on is not known; ${remedy}. ${toProblem(end[0].reason).message}`;
  } finally {
    late.abort();
  }
}
