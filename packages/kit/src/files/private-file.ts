import { constants, type Stats } from "node:fs";
import { type FileHandle, open, unlink } from "node:fs/promises";
import { dirname } from "node:path";
import { Problem } from "@gatehouse/core";
import { errorCode, systemReason } from "./error-code.ts";
import { syncDirectory } from "./write-file-atomic.ts";

// O_NONBLOCK: opening a FIFO that someone put there must not hang.
const FLAGS = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;

/**
 * Reads a file that only this user may read; `undefined` when it is not there. A symbolic link, another owner, a
 * device or any access for group or others fails with `state.unsafe_file`, other faults with `state.corrupt`, one that is
 * longer than it may be among them. The checks and the read are on one descriptor.
 */
export async function readPrivateFile(path: string, maxBytes = Number.POSITIVE_INFINITY): Promise<Buffer | undefined> {
  const handle = await openPrivate(path);
  if (handle === undefined) return undefined;
  try {
    const stats = await handle.stat();
    const fault = fileFault(stats);
    if (fault !== undefined) throw new Problem("state.unsafe_file", { detail: `${path} ${fault}.` });
    if (stats.size > maxBytes) {
      throw new Problem("state.corrupt", { detail: `${path} is larger than ${maxBytes} bytes.` });
    }
    return await handle.readFile();
  } catch (failure) {
    if (failure instanceof Problem) throw failure;
    throw new Problem("state.corrupt", { detail: `${path}: ${systemReason(failure)}.`, cause: failure });
  } finally {
    await handle.close();
  }
}

/** Removes a file durably; one that is not there is already removed. Fails with `state.write_failed`. */
export async function removeFile(path: string): Promise<void> {
  try {
    await unlink(path);
    await syncDirectory(dirname(path));
  } catch (failure) {
    if (errorCode(failure) === "ENOENT") return;
    throw new Problem("state.write_failed", { detail: `${path}: ${systemReason(failure)}.`, cause: failure });
  }
}

async function openPrivate(path: string): Promise<FileHandle | undefined> {
  try {
    return await open(path, FLAGS);
  } catch (failure) {
    const code = errorCode(failure);
    if (code === "ENOENT") return undefined;
    const detail = code === "ELOOP" ? `${path} is a symbolic link.` : `${path}: ${code}.`;
    throw new Problem("state.unsafe_file", { detail, cause: failure });
  }
}

function fileFault(stats: Stats): string | undefined {
  if (!stats.isFile()) return "is not a regular file";
  if (stats.uid !== process.getuid?.()) return "belongs to another user";
  if ((stats.mode & 0o077) !== 0) {
    return `has mode ${(stats.mode & 0o777).toString(8).padStart(4, "0")}; run: chmod 600`;
  }
  return undefined;
}
