import { once } from "node:events";
import { type FileHandle, open, stat } from "node:fs/promises";
import type { ServerResponse } from "node:http";
import { linkSignals } from "@gatehouse/core";
import { errorCode } from "@gatehouse/kit";

const FOLLOW_EVERY_MS = 200;
const CHUNK_BYTES = 65_536;

export interface LogSending {
  /** Of the file that is written; the one before it is beside it, with `.1`. */
  readonly path: string;
  readonly response: ServerResponse;
  readonly signal: AbortSignal;
  readonly isRunning: () => boolean;
}

/** Sends what was written, then, while the run lives, what is added, over the file's rotation too. */
export async function sendLog(sending: LogSending): Promise<void> {
  const { path, response, signal, isRunning } = sending;
  let file = (await openLog(`${path}.1`)) ?? (await openLog(path));
  try {
    for (let isLast = false; !isLast && !signal.aborted && !response.destroyed; ) {
      const wasRunning = isRunning();
      await sendRest(file, sending);
      const next = await openNext(path, file);
      if (next === undefined) {
        isLast = !wasRunning;
        if (wasRunning) await new Promise((resolve) => setTimeout(resolve, FOLLOW_EVERY_MS));
        continue;
      }
      // What was added between the reading and the rotation is read before the next file is.
      await sendRest(file, sending);
      await file?.close();
      file = next;
    }
  } finally {
    await file?.close();
  }
  response.end();
}

/** The file at `path`, when that is another than the one that is read. */
async function openNext(path: string, file: FileHandle | undefined): Promise<FileHandle | undefined> {
  if (file !== undefined) {
    const [current, read] = await Promise.all([stat(path).catch(() => undefined), file.stat()]);
    if (current === undefined || current.ino === read.ino) return undefined;
  }
  return openLog(path);
}

/** Sends from where the file was read to, no faster than the reader takes it. */
async function sendRest(file: FileHandle | undefined, { response, signal }: LogSending): Promise<void> {
  if (file === undefined) return;
  const buffer = Buffer.alloc(CHUNK_BYTES);
  while (!signal.aborted && !response.destroyed) {
    const { bytesRead } = await file.read(buffer, 0, CHUNK_BYTES, null);
    if (bytesRead === 0) return;
    if (!response.write(Buffer.from(buffer.subarray(0, bytesRead)))) await drained(response, signal);
  }
}

async function drained(response: ServerResponse, signal: AbortSignal): Promise<void> {
  const done = new AbortController();
  using linked = linkSignals(signal, done.signal);
  const events = ["drain", "close"].map((name) => once(response, name, { signal: linked.signal }));
  await Promise.race(events).catch(() => undefined);
  done.abort();
  await Promise.allSettled(events);
}

async function openLog(path: string): Promise<FileHandle | undefined> {
  try {
    return await open(path, "r");
  } catch (failure) {
    if (errorCode(failure) === "ENOENT") return undefined;
    throw failure;
  }
}
