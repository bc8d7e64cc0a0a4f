import type { Dirent } from "node:fs";
import { lstat, readdir, rm } from "node:fs/promises";
import { join } from "node:path";

/** Names that `writeFileAtomic` gives. */
const TEMPORARY = /\.[0-9a-f]{12}\.tmp$/;
/** A writer that lives needs moments. */
const ABANDONED_AFTER_MS = 3_600_000;
const LEVELS = 3;
/** What ends with a run, and where a run may write. */
const RUNS = "runs";

/**
 * Removes temporary files of writers that were killed: they may hold keys. Only those of this user that nobody has
 * touched for an hour, in the directory and those below it; no link is followed. What cannot be removed stays.
 */
export async function sweepTemporaries(directory: string, now: number, levels = LEVELS): Promise<void> {
  const entries = await readdir(directory, { withFileTypes: true }).catch((): Dirent[] => []);
  for (const entry of entries) {
    const path = join(directory, entry.name);
    if (entry.isDirectory() && entry.name !== RUNS && levels > 1) await sweepTemporaries(path, now, levels - 1);
    else if (entry.isFile() && TEMPORARY.test(entry.name)) await removeAbandoned(path, now);
  }
}

async function removeAbandoned(path: string, now: number): Promise<void> {
  try {
    const { uid, mtimeMs } = await lstat(path);
    if (uid === process.getuid?.() && now - mtimeMs > ABANDONED_AFTER_MS) await rm(path);
  } catch {
    // Gone already, or not to be had: nothing depends on it.
  }
}
