import { lstatSync, mkdirSync } from "node:fs";
import { enableCompileCache } from "node:module";
import { userInfo } from "node:os";
import { join } from "node:path";

/**
 * Lets the runtime keep compiled code between starts, in a directory that is this user's alone: whoever writes there
 * decides what runs. It is the one of the account and no other, since no run may have that in its workspace; a variable
 * could name a place in one. Where there is none, or variables name another, nothing is kept.
 */
export function keepCompiledCode({ XDG_CACHE_HOME, HOME }: Readonly<Record<string, string | undefined>>): void {
  try {
    const home = userInfo().homedir;
    const caches = join(home, ".cache");
    if (HOME !== home || (XDG_CACHE_HOME || caches) !== caches) return;
    const directory = join(caches, "gatehouse");
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    const stats = lstatSync(directory);
    const isOwn = stats.isDirectory() && stats.uid === process.getuid?.() && (stats.mode & 0o077) === 0;
    if (isOwn) enableCompileCache(directory);
  } catch {
    // A home that cannot be written costs some milliseconds, not the command.
  }
}
