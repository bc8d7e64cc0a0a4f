import type { ExitStatus } from "./exit-status.ts";

/** What is stopped: it is asked first. */
export interface Stoppable {
  readonly exited: Promise<ExitStatus>;
  signal(name: NodeJS.Signals): void;
  kill(): void;
}

/** Asks a process to end, and ends it by force after so long. */
export async function stopProcess(stoppable: Stoppable, graceMs: number): Promise<ExitStatus> {
  stoppable.signal("SIGTERM");
  const timer = setTimeout(() => stoppable.kill(), graceMs);
  try {
    return await stoppable.exited;
  } finally {
    clearTimeout(timer);
  }
}
