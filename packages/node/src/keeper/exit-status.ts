import type { ChildProcess } from "node:child_process";
import { constants } from "node:os";

/** How a command ended, as a shell would say it. */
export interface ExitStatus {
  /** 128 + n when a signal ended it. */
  readonly code: number;
}

/** Resolves when a child has ended; with 125 where it could not be started. */
export function exitOf(child: ChildProcess): Promise<ExitStatus> {
  return new Promise((resolve) => {
    child.once("error", () => resolve({ code: 125 }));
    child.once("exit", (code, signal) =>
      resolve({ code: code ?? 128 + (signal === null ? 0 : constants.signals[signal]) }),
    );
  });
}
