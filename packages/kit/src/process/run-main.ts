import { constants } from "node:os";
import { type Problem, toProblem } from "@gatehouse/core";
import { scrubLine } from "../log/scrub-line.ts";

const DEFAULT_LAST_RESORT_MS = 15_000;
/** A process whose parent is gone ends within a second. */
const ORPHAN_EXIT_MS = 900;

export interface RunMainOptions {
  /** How long an orderly end may take once it was asked for, or once `main` has settled. Default 15,000. */
  readonly lastResortMs?: number;
  /** The process belongs to the one that forked it and ends when their channel closes. */
  readonly endsWithParent?: boolean;
  /** Shows what `main` failed with. Default: one line on stderr. */
  readonly report?: (problem: Problem) => void;
}

/**
 * Runs a process. SIGINT, SIGTERM and, where so said, the parent's end abort `signal`; `main` then ends in order and
 * the process with it, because nothing is left. Its number is the exit code; a `Problem` gives its own. Only when
 * something hangs does a timer exit by force, and a second signal does so at once.
 */
export async function runMain(
  main: (signal: AbortSignal) => Promise<number | undefined> | Promise<void>,
  options: RunMainOptions = {},
): Promise<void> {
  const lastResortMs = options.lastResortMs ?? DEFAULT_LAST_RESORT_MS;
  const abort = new AbortController();
  const onSignal = (name: NodeJS.Signals) => {
    if (abort.signal.aborted) exitWithin(0, exitCodeOfSignal(name));
    exitWithin(lastResortMs, exitCodeOfSignal(name));
    abort.abort(new StopSignal(name));
  };
  const onOrphaned = () => {
    exitWithin(ORPHAN_EXIT_MS, 1);
    abort.abort(new Error("the parent process is gone"));
  };
  process.on("SIGINT", onSignal);
  process.on("SIGTERM", onSignal);
  if (options.endsWithParent) process.once("disconnect", onOrphaned);
  if (options.endsWithParent && process.connected === false) onOrphaned();
  try {
    process.exitCode = (await main(abort.signal)) ?? 0;
  } catch (failure) {
    process.exitCode = exitCodeOfFailure(failure, abort.signal, options.report ?? reportOnStderr);
  }
  // A listener keeps the channel open, and the channel the process.
  process.off("disconnect", onOrphaned);
  // A handle that someone forgot must not keep an ended process alive.
  exitWithin(lastResortMs, Number(process.exitCode));
}

/** Why `signal` aborted when a person or a parent asked the process to stop. */
class StopSignal extends Error {
  readonly signalName: NodeJS.Signals;

  constructor(signalName: NodeJS.Signals) {
    super(`stopped by ${signalName}`);
    this.signalName = signalName;
  }
}

/** The last resort, and the only place that ends the process by force. */
function exitWithin(waitMs: number, code: number): void {
  setTimeout(() => process.exit(process.exitCode ?? code), waitMs).unref();
}

function exitCodeOfSignal(name: NodeJS.Signals): number {
  return 128 + constants.signals[name];
}

function exitCodeOfFailure(failure: unknown, signal: AbortSignal, report: (problem: Problem) => void): number {
  if (signal.aborted && failure === signal.reason) {
    return failure instanceof StopSignal ? exitCodeOfSignal(failure.signalName) : 1;
  }
  const problem = toProblem(failure);
  report(problem);
  return problem.row.exit;
}

function reportOnStderr(problem: Problem): void {
  const cause = problem.code === "internal" && problem.cause instanceof Error ? ` ${problem.cause.stack}` : "";
  process.stderr.write(`${scrubLine(`${problem.message}${cause}`)}\n`);
}
