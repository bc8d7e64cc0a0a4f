import { type ChildProcess, fork, spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";

const TICKS_PER_SECOND = 100;

/** A child of the benchmark that is stopped with it. */
export interface Measured extends AsyncDisposable {
  readonly child: ChildProcess;
  /** CPU seconds (user and system) of the process and its living and ended descendants. */
  cpuSeconds(): number;
  /** Resident bytes of the process and its living descendants. */
  residentBytes(): number;
}

/** Starts one of the benchmark's own programs and waits for its first message. */
export async function startProgram(
  file: URL,
  args: readonly string[],
): Promise<Measured & { readonly ready: Record<string, unknown> }> {
  const child = fork(file, [...args], { stdio: ["ignore", "ignore", "inherit", "ipc"] });
  const [ready] = (await once(child, "message")) as [Record<string, unknown>];
  return { ...measure(child), ready };
}

/** Starts any other program; the caller knows when it is ready. */
export function startCommand(command: string, args: readonly string[], env = process.env): Measured {
  return measure(spawn(command, [...args], { env, stdio: ["ignore", "pipe", "inherit"] }));
}

function measure(child: ChildProcess): Measured {
  const pid = child.pid ?? 0;
  return {
    child,
    cpuSeconds: () => treeOf(pid).reduce((sum, one) => sum + cpuTicks(one), 0) / TICKS_PER_SECOND,
    residentBytes: () => treeOf(pid).reduce((sum, one) => sum + resident(one), 0),
    [Symbol.asyncDispose]: async () => {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const ended = once(child, "exit");
      child.kill("SIGTERM");
      await ended;
    },
  };
}

function treeOf(root: number): number[] {
  const children = new Map<number, number[]>();
  for (const name of readdirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    const parent = Number(statFields(Number(name))[1]);
    children.set(parent, [...(children.get(parent) ?? []), Number(name)]);
  }
  const tree = [root];
  for (const pid of tree) tree.push(...(children.get(pid) ?? []));
  return tree;
}

/** Fields of /proc/PID/stat from `state` on (proc(5) numbers them from 3). */
function statFields(pid: number): string[] {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, "latin1");
    return text.slice(text.lastIndexOf(")") + 2).split(" ");
  } catch {
    return [];
  }
}

function cpuTicks(pid: number): number {
  return statFields(pid)
    .slice(11, 15)
    .reduce((sum, ticks) => sum + Number(ticks), 0);
}

function resident(pid: number): number {
  try {
    return Number(readFileSync(`/proc/${pid}/statm`, "latin1").split(" ")[1]) * 4096;
  } catch {
    return 0;
  }
}
