import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { eventually } from "../system/eventually.ts";
import { findProcessTree, type ProcessEntry } from "../system/process-table.ts";

/** What still points at a directory after everything that used it should be gone. */
export interface Leftovers {
  readonly processes: readonly ProcessEntry[];
  /** Lines of mountinfo. */
  readonly mounts: readonly string[];
  /** Bound Unix sockets. */
  readonly sockets: readonly string[];
}

const SETTLE_MS = 5_000;

/** Processes that were started for a world: they carry its directory in their arguments or variables. */
export function findWorldProcesses(directory: string): Promise<readonly ProcessEntry[]> {
  return findProcessTree(
    ({ command, environment }) =>
      command.includes(directory) || environment.some((variable) => variable.includes(directory)),
  );
}

/** Ends them by force. */
export async function killWorldProcesses(directory: string): Promise<void> {
  for (const { pid } of await findWorldProcesses(directory)) {
    try {
      process.kill(pid, "SIGKILL");
    } catch (failure) {
      // Gone between the look and the kill.
      if ((failure as NodeJS.ErrnoException).code !== "ESRCH") throw failure;
    }
  }
}

/** Looks once. */
export async function findLeftovers(directory: string): Promise<Leftovers> {
  const [processes, mountinfo, unix] = await Promise.all([
    findWorldProcesses(directory),
    readFile("/proc/self/mountinfo", "utf8"),
    readFile("/proc/net/unix", "utf8"),
  ]);
  const mentions = (text: string) => text.split("\n").filter((line) => line.includes(directory));
  return { processes, mounts: mentions(mountinfo), sockets: mentions(unix) };
}

/** Waits until nothing is left, or fails naming what is. */
export async function expectNoLeftovers(directory: string): Promise<void> {
  let last: Leftovers | undefined;
  try {
    await eventually(
      "the end of everything that was started",
      async () => {
        last = await findLeftovers(directory);
        return last.processes.length + last.mounts.length + last.sockets.length === 0;
      },
      { timeoutMs: SETTLE_MS, everyMs: 50 },
    );
  } catch (cause) {
    const commands = last?.processes.map(({ pid, command }) => `${pid} ${command}`) ?? [];
    const lines = [...commands, ...(last?.mounts ?? []), ...(last?.sockets ?? [])];
    throw new Error(`left behind:\n${lines.join("\n")}`, { cause });
  }
}

/** Files that only a living daemon or run may have. A daemon that was stopped in order leaves none. */
export async function findLiveFiles(stateDir: string): Promise<readonly string[]> {
  const here = await readdir(stateDir).catch(() => []);
  const keepers = await readdir(join(stateDir, "keepers")).catch(() => []);
  return [
    ...here.filter((name) => name.endsWith(".sock") || name === "daemon.lock" || name.includes(".tmp")),
    ...keepers.map((name) => `keepers/${name}`),
  ];
}
