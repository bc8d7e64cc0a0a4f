import { closeSync, openSync, readdirSync, readFileSync, readlinkSync, readSync, statSync } from "node:fs";
import { join } from "node:path";

/** Where a value was found. */
export type Finding = "environment" | "arguments" | "memory" | "files";

const MAX_FILE_BYTES = 8 * 1_048_576;
const BLOCK_BYTES = 4 * 1_048_576;
/** Programs and the kernel's own files are the host's; everything else that the run sees is looked through. */
const SKIPPED = new Set(["/usr", "/lib", "/lib32", "/lib64", "/libx32", "/bin", "/sbin", "/proc", "/sys", "/dev"]);

/** The processes whose pid namespace is the one named (`pid:[…]`). */
export function processesIn(namespace: string): readonly number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => attempt(() => readlinkSync(`/proc/${pid}/ns/pid`)) === namespace);
}

/** Looks for values in all that a sandbox's processes hold and see. Reads from outside, as this user may. */
export function scanSandbox(
  pids: readonly number[],
  values: readonly string[],
): ReadonlyMap<string, ReadonlySet<Finding>> {
  const found = new Map<string, Set<Finding>>(values.map((value) => [value, new Set()]));
  const look = (bytes: Buffer, place: Finding) => {
    for (const value of values) if (bytes.includes(value)) found.get(value)?.add(place);
  };
  for (const pid of pids) {
    look(attempt(() => readFileSync(`/proc/${pid}/environ`)) ?? Buffer.alloc(0), "environment");
    look(attempt(() => readFileSync(`/proc/${pid}/cmdline`)) ?? Buffer.alloc(0), "arguments");
    scanMemory(pid, (block) => look(block, "memory"));
  }
  const [first] = pids;
  if (first !== undefined) scanFiles(`/proc/${first}/root`, "/", (bytes) => look(bytes, "files"));
  return found;
}

function scanMemory(pid: number, look: (block: Buffer) => void): void {
  const maps = attempt(() => readFileSync(`/proc/${pid}/maps`, "utf8")) ?? "";
  const memory = attempt(() => openSync(`/proc/${pid}/mem`, "r"));
  if (memory === undefined) return;
  try {
    for (const line of maps.split("\n")) {
      const [, from = "", to = "", mode = "", path = ""] =
        /^([0-9a-f]+)-([0-9a-f]+) (\S+) \S+ \S+ \S+\s*(.*)$/.exec(line) ?? [];
      // What is mapped from a file and cannot be written is that file.
      if (!mode.startsWith("rw") || path.startsWith("[v")) continue;
      scanRange(memory, { from: Number.parseInt(from, 16), to: Number.parseInt(to, 16) }, look);
    }
  } finally {
    closeSync(memory);
  }
}

function scanRange(
  memory: number,
  range: { readonly from: number; readonly to: number },
  look: (block: Buffer) => void,
): void {
  const block = Buffer.alloc(BLOCK_BYTES);
  // Blocks overlap, so that a value across two is found.
  for (let at = range.from; at < range.to; at += BLOCK_BYTES - 4_096) {
    const length = Math.min(BLOCK_BYTES, range.to - at);
    const got = attempt(() => readSync(memory, block, 0, length, at));
    if (got === undefined || got === 0) return;
    look(block.subarray(0, got));
  }
}

function scanFiles(root: string, path: string, look: (bytes: Buffer) => void): void {
  for (const entry of attempt(() => readdirSync(join(root, path), { withFileTypes: true })) ?? []) {
    const inside = join(path, entry.name);
    if (SKIPPED.has(inside) || entry.name === "node") continue;
    if (entry.isDirectory()) scanFiles(root, inside, look);
    else if (entry.isFile() && (attempt(() => statSync(join(root, inside)).size) ?? 0) <= MAX_FILE_BYTES) {
      look(attempt(() => readFileSync(join(root, inside))) ?? Buffer.alloc(0));
    }
  }
}

/** What this user may not read, or what ended meanwhile, holds nothing for it. */
function attempt<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}
