import { constants } from "node:fs";
import { open } from "node:fs/promises";
import { join } from "node:path";
import { Problem } from "@gatehouse/core";
import { systemReason } from "@gatehouse/kit";
import type { StoreLocation } from "@gatehouse/server";
import { type Invocation, textOption } from "../invocation.ts";

const MAX_URL_BYTES = 8_192;

/** Where the rows are: the embedded database, or the PostgreSQL whose URL stands in a file. */
export async function storeLocation(invocation: Invocation, directory: string): Promise<StoreLocation> {
  const file = textOption(invocation, "databaseUrlFile");
  if (file === undefined) return { kind: "sqlite", path: join(directory, "server.db") };
  const url = await readUrl(file);
  // What else the file holds may be a password in the wrong place: it is not repeated.
  if (!/^postgres(ql)?:\/\//.test(url)) {
    throw new Problem("usage.invalid", { detail: `${file} holds no URL that begins with postgres://.` });
  }
  return { kind: "postgres", url };
}

/**
 * A URL that holds a password. Platforms place such files as links, as root's, or as a group's: what counts is that no
 * other user may read it.
 */
async function readUrl(file: string): Promise<string> {
  try {
    // O_NONBLOCK: opening a FIFO that someone put there must not hang.
    await using handle = await open(file, constants.O_RDONLY | constants.O_NONBLOCK);
    const { mode, uid } = await handle.stat();
    const isOwn = uid === process.getuid?.() && (mode & 0o077) === 0;
    const isPlaced = uid === 0 && (mode & 0o027) === 0;
    if (!isOwn && !isPlaced) {
      const detail = `${file} can be read or changed by others; run: chmod 600 (or have root own it, chmod 640).`;
      throw new Problem("state.unsafe_file", { detail });
    }
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(MAX_URL_BYTES + 1), 0, MAX_URL_BYTES + 1, 0);
    if (bytesRead > MAX_URL_BYTES) {
      throw new Problem("usage.invalid", { detail: `${file} is larger than ${MAX_URL_BYTES} bytes.` });
    }
    return buffer.toString("utf8", 0, bytesRead).trim();
  } catch (cause) {
    if (cause instanceof Problem) throw cause;
    throw new Problem("usage.invalid", { detail: `${file} cannot be read: ${systemReason(cause)}.`, cause });
  }
}
