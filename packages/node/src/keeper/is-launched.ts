import { readdir, readFile } from "node:fs/promises";
import { join, sep } from "node:path";
import { LAUNCH_FILE } from "./launch-file.ts";

/**
 * Whether a process lives that was started as this run's keeper, before it listens too: its arguments name its launch
 * file, by whatever path to the state directory. True where nobody can tell.
 */
export async function isLaunched(keeper: string): Promise<boolean> {
  const names = await readdir("/proc").catch(() => undefined);
  if (names === undefined) return true;
  const pids = names.filter((name) => /^\d+$/.test(name));
  const commands = await Promise.all(pids.map(argumentsOf));
  return commands.flat().some((argument) => argument.endsWith(sep + join(keeper, LAUNCH_FILE)));
}

/** None for a process that is gone, or dead and not yet waited for. */
async function argumentsOf(pid: string): Promise<readonly string[]> {
  const text = await readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "");
  return text.split("\0");
}
