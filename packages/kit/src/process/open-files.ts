import { readFile } from "node:fs/promises";

/** How many files and connections this process may have open at a time; `undefined` where the system does not say. */
export async function openFilesLimit(): Promise<number | undefined> {
  const limits = await readFile("/proc/self/limits", "utf8").catch(() => "");
  // The first number holds; Node.js raises it to the second at its start.
  const [, limit] = /^Max open files\s+(\d+|unlimited)\s/m.exec(limits) ?? [];
  if (limit === undefined) return undefined;
  return limit === "unlimited" ? Number.POSITIVE_INFINITY : Number(limit);
}
