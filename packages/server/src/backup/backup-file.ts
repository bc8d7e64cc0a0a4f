import { createHash, type Hash } from "node:crypto";
import { type FileHandle, open, rename, rm, stat } from "node:fs/promises";
import { dirname } from "node:path";
import { createInterface } from "node:readline";
import { base64url, fromBase64url, Problem } from "@gatehouse/core";
import { errorCode, syncDirectory, systemReason } from "@gatehouse/kit";
import type { TableRow } from "./table-rows.ts";

/** One line of a backup. */
export type BackupLine =
  | { readonly gatehouse_backup: 1; readonly made_at: number; readonly steps: readonly string[] }
  | { readonly file: string; readonly data: Uint8Array }
  | { readonly org: string | null; readonly table: string; readonly rows: readonly TableRow[] };

/**
 * Writes a backup of mode 0600: JSON lines, the last of which holds the hash of all before. The file is whole under its
 * name, or not there. Fails with `backup.busy` when another one is begun there meanwhile, which goes on, and with
 * `state.write_failed`.
 */
export async function writeBackupFile(path: string, lines: AsyncIterable<BackupLine>): Promise<void> {
  const temporary = `${path}.partial`;
  try {
    await rm(temporary, { force: true });
    const handle = await open(temporary, "wx", 0o600);
    try {
      await writeLines(handle, lines);
      await handle.sync();
      await requireOwn(handle, temporary);
    } finally {
      await handle.close();
    }
    await rename(temporary, path);
    await syncDirectory(dirname(path));
  } catch (failure) {
    if (failure instanceof Problem && failure.code === "backup.busy") throw failure;
    await rm(temporary, { force: true }).catch(() => undefined);
    if (failure instanceof Problem || errorCode(failure) === undefined) throw failure;
    throw new Problem("state.write_failed", { detail: `${path}: ${systemReason(failure)}.`, cause: failure });
  }
}

/** What stands under the name now is what was written here: another backup's half would be taken for this whole one. */
async function requireOwn(handle: FileHandle, path: string): Promise<void> {
  const [own, there] = await Promise.all([handle.stat(), stat(path).catch(() => undefined)]);
  if (there?.ino === own.ino && there.dev === own.dev) return;
  throw new Problem("backup.busy", { detail: `It is ${path}.` });
}

async function writeLines(handle: FileHandle, lines: AsyncIterable<BackupLine>): Promise<void> {
  const hash = createHash("sha256");
  for await (const line of lines) {
    const text = `${JSON.stringify(line, bytesAsText)}\n`;
    hash.update(text);
    await handle.write(text);
  }
  await handle.write(`${JSON.stringify({ sha256: digest(hash) })}\n`);
}

/** Checks that a backup is whole, then yields its lines. Fails with `backup.unreadable`. */
export async function* readBackupFile(path: string): AsyncGenerator<BackupLine> {
  await checkHash(path);
  for await (const text of textLines(path)) {
    const line = parse(text);
    if (!("sha256" in line)) yield line;
  }
}

async function checkHash(path: string): Promise<void> {
  const hash = createHash("sha256");
  let last = "";
  for await (const text of textLines(path)) {
    if (last !== "") hash.update(`${last}\n`);
    last = text;
  }
  const stated = last === "" ? {} : parse(last);
  if (!("sha256" in stated) || stated.sha256 !== digest(hash)) {
    throw new Problem("backup.unreadable", { detail: `${path} is not whole.` });
  }
}

async function* textLines(path: string): AsyncGenerator<string> {
  const handle = await open(path, "r").catch((cause: unknown) => {
    throw new Problem("backup.unreadable", { detail: `${path}: ${systemReason(cause)}.`, cause });
  });
  try {
    yield* createInterface({
      input: handle.createReadStream({ autoClose: false }),
      crlfDelay: Number.POSITIVE_INFINITY,
    });
  } finally {
    await handle.close();
  }
}

function parse(text: string): BackupLine | { readonly sha256: string } {
  try {
    return JSON.parse(text, textAsBytes);
  } catch (cause) {
    throw new Problem("backup.unreadable", { cause });
  }
}

function digest(hash: Hash): string {
  return base64url(new Uint8Array(hash.digest()));
}

/** Bytes stand as `{"bytes": …}`: base64url. Buffers would otherwise describe themselves. */
function bytesAsText(this: unknown, key: string, value: unknown): unknown {
  const own = (this as Readonly<Record<string, unknown>>)[key];
  return own instanceof Uint8Array ? { bytes: base64url(own) } : value;
}

function textAsBytes(_key: string, value: unknown): unknown {
  const isBytes = typeof value === "object" && value !== null && "bytes" in value && typeof value.bytes === "string";
  return isBytes ? fromBase64url(value.bytes as string) : value;
}
