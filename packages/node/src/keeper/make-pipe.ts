import { spawnSync } from "node:child_process";
import { closeSync, constants, openSync, rmSync } from "node:fs";
import { join } from "node:path";
import { Problem } from "@gatehouse/core";
import { toolEnvironment } from "../sandbox/wrap-command.ts";

/** Both ends of a pipe, as descriptors. */
export interface PipeEnds {
  readonly read: number;
  readonly write: number;
}

/**
 * A pipe whose end at `own` does not block. Node itself makes socket pairs, which a program cannot open by /dev/stdin
 * or /dev/stdout. Its name is gone when this returns.
 */
export function makePipe(directory: string, own: "read" | "write"): PipeEnds {
  const path = join(directory, "stream");
  const { status } = spawnSync("mkfifo", ["-m", "600", path], { env: toolEnvironment(), stdio: "ignore" });
  if (status !== 0) throw new Problem("sandbox.start_failed", { detail: "A pipe could not be made." });
  const { O_RDONLY, O_WRONLY, O_RDWR, O_NONBLOCK } = constants;
  // While both ends are open in one, neither waits for the other to be opened.
  const both = openSync(path, O_RDWR);
  try {
    const read = openSync(path, own === "read" ? O_RDONLY | O_NONBLOCK : O_RDONLY);
    return { read, write: openSync(path, own === "write" ? O_WRONLY | O_NONBLOCK : O_WRONLY) };
  } finally {
    closeSync(both);
    rmSync(path);
  }
}
