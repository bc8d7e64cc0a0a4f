import type { ExitStatus } from "./exit-status.ts";

/** What is stopped: it is asked first. */
export interface Stoppable {
  readonly exited: Promise<ExitStatus>;
  signal(name: NodeJS.Signals): void;
  kill(): void;
}

export interface StopOptions {
  /** After so long it is ended by force. */
  readonly graceMs: number;
  readonly isTerminal: boolean;
}

/** Asks a process to end; at a terminal by a hang-up too, halfway: a shell that is typed at takes SIGTERM for nothing. */
export async function stopProcess(stoppable: Stoppable, { graceMs, isTerminal }: StopOptions): Promise<ExitStatus> {
  stoppable.signal("SIGTERM");
  const timers = [setTimeout(() => stoppable.kill(), graceMs)];
  if (isTerminal) timers.push(setTimeout(() => stoppable.signal("SIGHUP"), graceMs / 2));
  try {
    return await stoppable.exited;
  } finally {
    for (const timer of timers) clearTimeout(timer);
  }
}
