import { randomBytes } from "node:crypto";
import { type FileHandle, open, rename, rm } from "node:fs/promises";
import { dirname } from "node:path";
import { Problem } from "@gatehouse/core";
import { systemReason } from "./error-code.ts";

export interface WriteFileOptions {
  /** Permission bits; default 0600. */
  readonly mode?: number;
}

/**
 * Replaces a file so that a crash or a full disk leaves either the old content or the new, never a part: temporary
 * file beside it, fsync, rename, fsync of the directory. Fails with `state.write_failed`; the old file is then intact
 * and the temporary one gone. Once renamed, a failing directory fsync fails the call too: the new content may stand.
 */
export async function writeFileAtomic(
  path: string,
  data: string | Uint8Array,
  options: WriteFileOptions = {},
): Promise<void> {
  const temporary = `${path}.${randomBytes(6).toString("hex")}.tmp`;
  try {
    await writeTemporary(temporary, data, options.mode ?? 0o600);
    await rename(temporary, path);
  } catch (failure) {
    // The first failure is the one to report, also when the disk refuses the removal.
    await rm(temporary, { force: true }).catch(() => undefined);
    throw writeFailed(path, failure);
  }
  await syncDirectory(dirname(path)).catch((failure: unknown) => {
    throw writeFailed(path, failure);
  });
}

/** Makes renames and removals in a directory durable. */
export async function syncDirectory(path: string): Promise<void> {
  const handle = await open(path, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

async function writeTemporary(path: string, data: string | Uint8Array, mode: number): Promise<void> {
  const handle = await open(path, "wx", mode);
  try {
    await fill(handle, data, mode);
  } finally {
    await handle.close();
  }
}

async function fill(handle: FileHandle, data: string | Uint8Array, mode: number): Promise<void> {
  // The umask may have taken bits from the mode that was asked for.
  await handle.chmod(mode);
  await handle.writeFile(data);
  await handle.sync();
}

function writeFailed(path: string, cause: unknown): Problem {
  return new Problem("state.write_failed", { detail: `${path}: ${systemReason(cause)}.`, cause });
}
