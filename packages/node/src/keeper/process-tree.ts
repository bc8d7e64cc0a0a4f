import { readFileSync } from "node:fs";

/** The first child of a process, which for an init is what it was started for. */
export function childOf(pid: number): number | undefined {
  const first = readProc(`${pid}/task/${pid}/children`).trim().split(" ")[0];
  return first === undefined || first === "" ? undefined : Number(first);
}

/**
 * The command that a process was started as, or holds in a terminal: of a signal script(1) makes one of its own, and
 * forgets with what code its command ended.
 */
export function commandAt(pid: number, isTerminal: boolean): number {
  return isTerminal ? (childOf(pid) ?? pid) : pid;
}

/** The init of a pid namespace below a process: its only descendant that leads one of its own. */
export function initBelow(ancestor: number): number | undefined {
  for (let pid: number | undefined = ancestor; pid !== undefined; pid = childOf(pid)) {
    if (leadsNamespace(pid)) return pid;
  }
  return undefined;
}

/** Sends a signal to a process; one that ended meanwhile needs none. */
export function sendSignal(pid: number | undefined, name: NodeJS.Signals): void {
  try {
    if (pid !== undefined && pid > 1) process.kill(pid, name);
  } catch {
    // It ended meanwhile: that is what a signal is for.
  }
}

function leadsNamespace(pid: number): boolean {
  const ids = /^NSpid:\s+(.*)$/m.exec(readProc(`${pid}/status`))?.[1]?.split(/\s+/) ?? [];
  return ids.length > 1 && ids.at(-1) === "1";
}

/** A file of /proc; empty for a process that is gone. */
function readProc(path: string): string {
  try {
    return readFileSync(`/proc/${path}`, "utf8");
  } catch {
    return "";
  }
}
