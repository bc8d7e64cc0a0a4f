import { copyFileSync, fstatSync, ftruncateSync, statSync } from "node:fs";

export interface BoundLog {
  /** Where the log would be. */
  readonly path: string;
  /** Open for appending, and written by this process alone. */
  readonly fd: number;
  readonly maxBytes?: number;
}

const MAX_BYTES = 8_388_608;

/**
 * Begins a log anew that has grown over its bound; what was in it stands beside it then, with `.1`. Nothing happens
 * when the descriptor is not the file at that path: a terminal, say, or the file of a predecessor.
 */
export function boundLog({ path, fd, maxBytes = MAX_BYTES }: BoundLog): "kept" | "lost" {
  const own = fstatSync(fd);
  const there = statSync(path, { throwIfNoEntry: false });
  if (!own.isFile() || own.ino !== there?.ino || own.dev !== there.dev || own.size <= maxBytes) return "kept";
  try {
    copyFileSync(path, `${path}.1`);
    return "kept";
  } catch {
    // Without room for the copy its lines are lost: that is better than a disk that no run can write to.
    return "lost";
  } finally {
    ftruncateSync(fd);
  }
}
