import { lstatSync, mkdirSync } from "node:fs";
import { enableCompileCache } from "node:module";
import { join } from "node:path";

/**
 * Lets the runtime keep compiled code between starts, in a directory that is this user's alone: whoever writes there
 * decides what runs. Where there is no such directory, nothing is kept.
 */
export function keepCompiledCode({ XDG_CACHE_HOME, HOME }: Readonly<Record<string, string | undefined>>): void {
  const caches = XDG_CACHE_HOME || (HOME ? join(HOME, ".cache") : undefined);
  if (caches === undefined) return;
  const directory = join(caches, "gatehouse");
  try {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    const stats = lstatSync(directory);
    const isOwn = stats.isDirectory() && stats.uid === process.getuid?.() && (stats.mode & 0o077) === 0;
    if (isOwn) enableCompileCache(directory);
  } catch {
    // A home that cannot be written costs some milliseconds, not the command.
  }
}
