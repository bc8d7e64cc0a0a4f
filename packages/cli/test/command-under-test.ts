import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { resolveEntry } from "@gatehouse/kit";

export interface Done {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

/** The built command, over a state directory below this one where no daemon is. */
export function commandIn(directory: string): (args: readonly string[], input?: string) => Done {
  const env = { PATH: process.env.PATH, HOME: directory, GATEHOUSE_STATE_DIR: join(directory, "state"), NO_COLOR: "1" };
  return (args, input = "") => {
    const done = spawnSync(process.execPath, [resolveEntry("gatehouse"), ...args], { env, input, encoding: "utf8" });
    return { code: done.status, out: done.stdout, err: done.stderr };
  };
}
