import { systemClock, toProblem } from "@gatehouse/core";
import type { DetachKeys } from "../terminal/detach-keys.ts";
import { ENDING_SIGNALS } from "../terminal/interrupts.ts";
import { note } from "../terminal/print.ts";
import { ShownTerminal } from "../terminal/shown-terminal.ts";
import { writeOut, writeToReader } from "../terminal/write-out.ts";
import { type AttachOptions, RunAttachment } from "./attach-run.ts";
import { commandNode } from "./command-node.ts";
import { followFleetRun } from "./fleet-runs.ts";
import { asOperator } from "./open-operator.ts";
import { RunInputFeed } from "./run-input.ts";

export interface HeldRun extends Pick<AttachOptions, "nodeId" | "runId"> {
  /** Of its operator. */
  readonly stateDir: string;
}

/** A run that its caller may leave to itself. */
export interface LeavableRun extends HeldRun {
  readonly detachKeys?: DetachKeys;
}

const NO_TERMINAL =
  "the run has no terminal: no keys leave it to itself, and Ctrl-C is a signal to it (gatehouse logs -f only looks)";
const GOES_ON = "The command goes on, on its node.";
const STOP_UNANSWERED = "Its node is told to end it, and has not answered.";

/**
 * Joins this process's streams and signals to a run on a node until it ends; answers its exit code. Where both have a
 * terminal, this one shows the run's until then, or until its detach keys are typed: 0. Fails with `usage.cancelled`
 * when Ctrl-C leaves one that is away.
 */
export async function holdRun({ detachKeys, ...run }: LeavableRun): Promise<number> {
  using terminal = ShownTerminal.open({
    interrupt: () => attachment.leave(GOES_ON),
    resize: (size) => attachment.resize(size),
    detach: () => attachment.detach(),
    detachKeys,
  });
  let isTold = false;
  using input = new RunInputFeed(terminal?.keys ?? process.stdin);
  const attachment = attach(run, {
    input,
    write: (stream, bytes) => writeToReader(bytes, stream),
    onOpen: ({ hasTerminal }) => {
      if (hasTerminal) terminal?.show();
      else if (terminal !== undefined && detachKeys !== undefined && !isTold) note(NO_TERMINAL);
      isTold = true;
    },
    onLost: () => {
      if (terminal?.isShowing === true) note("the connection to the node is lost, and tried again; Ctrl-C leaves");
    },
  });
  let isStopping = false;
  const listeners = ENDING_SIGNALS.map((name) => {
    const listener = () => {
      if (attachment.signal(name)) return;
      if (!isStopping) stop(run);
      else if (name === "SIGINT") attachment.leave(STOP_UNANSWERED);
      isStopping = true;
    };
    return [name, listener] as const;
  });
  for (const [name, listener] of listeners) process.on(name, listener);
  try {
    return await untilEnded(attachment, run, () => {
      terminal?.restore();
      if (attachment.hasSignal) stop(run);
      return "its output follows from its log, and it gets no more input";
    });
  } catch (failure) {
    if (!attachment.isDetached) throw failure;
    terminal?.restore();
    note(`detached; the run goes on: gatehouse attach ${run.runId}`);
    return 0;
  } finally {
    for (const [name, listener] of listeners) process.off(name, listener);
  }
}

/** Writes all that a run wrote, by either stream, to standard output, and what it writes until it ends. */
export async function watchRun(run: HeldRun): Promise<void> {
  const attachment = attach(run, { write: (_, bytes) => writeOut(bytes) });
  await untilEnded(attachment, run, () => "its output follows from its log");
}

function attach(
  { stateDir, nodeId, runId }: HeldRun,
  joined: Omit<AttachOptions, "nodeId" | "runId" | "reach" | "clock">,
): RunAttachment {
  return new RunAttachment({
    ...{ nodeId, runId, clock: systemClock },
    reach: (work) => asOperator(stateDir, work),
    ...joined,
  });
}

/** Behind a balancer that leads to another replica than its node's the log can still be asked for, as a command. */
async function untilEnded(attachment: RunAttachment, run: HeldRun, instead: () => string): Promise<number> {
  try {
    return await attachment.untilEnded();
  } catch (failure) {
    if (toProblem(failure).code !== "runs.away") throw failure;
    note(`the run's streams cannot be reached here: ${instead()}`);
    const followed = {
      ...run,
      from: attachment.offset,
      follows: true,
      write: (bytes: Uint8Array) => writeToReader(bytes),
    };
    return (await asOperator(run.stateDir, (operator) => followFleetRun(operator, followed))) ?? 1;
  }
}

/** Where no stream is open a signal cannot be passed on; the run is ended by a command then. */
function stop({ stateDir, nodeId, runId }: HeldRun): void {
  note("stopping the run");
  const kind = { case: "stopRun", value: { runId } } as const;
  const stopping = asOperator(stateDir, (operator) => commandNode(operator, nodeId, { kind }));
  void stopping.catch((failure: unknown) => note(toProblem(failure).message));
}
