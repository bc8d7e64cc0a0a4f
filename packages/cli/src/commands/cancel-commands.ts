import { Problem, type ProblemRow } from "@gatehouse/core";
import { toServerProblem } from "@gatehouse/kit";
import type { Operator } from "../operator/open-operator.ts";

/** What became of commands that were to be taken back. */
export interface Cancelling {
  readonly cancelled: readonly string[];
  /** By id, why they are as they were. */
  readonly kept: ReadonlyMap<string, Problem>;
  /** The answer did not come: they may be cancelled. */
  readonly unknown: readonly string[];
  /** Nothing was asked about them. */
  readonly untried: readonly string[];
  /** Why not all were tried. */
  readonly failure: unknown;
}

/** What is wrong with one command, not with the call: the next one is tried. */
const OF_ONE: ReadonlySet<string> = new Set(["commands.sent", "commands.ended", "commands.not_found"]);
/** Failures after which nobody knows whether the server did it. */
const UNANSWERED: ReadonlySet<ProblemRow["rpc"]> = new Set(["unavailable", "deadline_exceeded", "internal"]);

/** Takes commands back one after the other, until the server cannot be asked any more. Says what became of each. */
export async function cancelCommands(nodes: Operator["nodes"], commandIds: readonly string[]): Promise<Cancelling> {
  const cancelled: string[] = [];
  const kept = new Map<string, Problem>();
  for (const [at, commandId] of commandIds.entries()) {
    const failure = await cancelOne(nodes, commandId);
    if (failure === undefined) cancelled.push(commandId);
    else if (isRefusal(failure)) kept.set(commandId, failure);
    if (failure === undefined || (isRefusal(failure) && OF_ONE.has(failure.code))) continue;
    const unknown = isRefusal(failure) ? [] : [commandId];
    return { cancelled, kept, unknown, untried: commandIds.slice(at + 1), failure };
  }
  return { cancelled, kept, unknown: [], untried: [], failure: [...kept.values()][0] };
}

/** Why it was not cancelled, or is not known to be; `undefined`: it was. */
async function cancelOne(nodes: Operator["nodes"], commandId: string): Promise<unknown> {
  try {
    await nodes.cancelCommand({ commandId });
    return undefined;
  } catch (failure) {
    return toServerProblem(failure);
  }
}

/** The server said no. */
function isRefusal(failure: unknown): failure is Problem {
  return failure instanceof Problem && !UNANSWERED.has(failure.row.rpc);
}
