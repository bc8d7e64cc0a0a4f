import { readdir, readFile, readlink } from "node:fs/promises";

/** One process as /proc shows it. */
export interface ProcessEntry {
  readonly pid: number;
  readonly parent: number;
  /** Arguments joined by spaces. */
  readonly command: string;
  /** Variables at its start, `NAME=value`; empty when not readable. */
  readonly environment: readonly string[];
  /** Inode names such as `net:[4026531840]`. */
  readonly networkNamespace: string | undefined;
}

/** Every process that is there and not a zombie. */
export async function listProcesses(): Promise<readonly ProcessEntry[]> {
  const pids = (await readdir("/proc")).filter((name) => /^\d+$/.test(name)).map(Number);
  const entries = await Promise.all(pids.map(readProcess));
  return entries.filter((entry) => entry !== undefined);
}

async function readProcess(pid: number): Promise<ProcessEntry | undefined> {
  const read = (name: string) => readFile(`/proc/${pid}/${name}`, "utf8").catch(() => "");
  const [stat, cmdline, environ] = await Promise.all([read("stat"), read("cmdline"), read("environ")]);
  // The command in parentheses may hold anything, so what follows its last one is read.
  const [state, parent] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  if (stat === "" || state === "Z" || state === "X") return undefined;
  return {
    pid,
    parent: Number(parent),
    command: cmdline.replaceAll("\0", " ").trim(),
    environment: environ.split("\0").filter((variable) => variable !== ""),
    networkNamespace: await readlink(`/proc/${pid}/ns/net`).catch(() => undefined),
  };
}

/** The processes that `matches`, and all their descendants. */
export async function findProcessTree(matches: (entry: ProcessEntry) => boolean): Promise<readonly ProcessEntry[]> {
  const all = await listProcesses();
  const found = new Set(all.filter(matches));
  const pids = new Set([...found].map(({ pid }) => pid));
  for (let grew = true; grew; ) {
    grew = false;
    for (const entry of all) {
      if (found.has(entry) || !pids.has(entry.parent)) continue;
      found.add(entry);
      pids.add(entry.pid);
      grew = true;
    }
  }
  return [...found];
}

/** Whether the process is there and not a zombie. */
export async function isAlive(pid: number): Promise<boolean> {
  return (await readProcess(pid)) !== undefined;
}
