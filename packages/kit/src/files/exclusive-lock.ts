import { closeSync, constants, openSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { Problem } from "@gatehouse/core";
import { type Native, native } from "../native/native.ts";

type Sqlite = typeof import("node:sqlite");

/** Where a directory's lock is held when `flock` cannot be called. */
const FALLBACK_FILE = "daemon.lock.db";

/**
 * Locks a directory for this process until disposed or dead; `undefined` when another process holds it. Taken by
 * `flock(2)` on the directory itself, which needs no file and cannot go stale; without native calls by an exclusive
 * transaction on a SQLite file in it.
 */
export function openExclusiveLock(directory: string, calls: FlockCalls = native): Disposable | undefined {
  return calls.available ? lockByFlock(directory, calls) : lockBySqlite(join(directory, FALLBACK_FILE));
}

/** The same by a file, made when absent: a second lock of one directory. It stays, empty. */
export function openExclusiveFileLock(path: string, calls: FlockCalls = native): Disposable | undefined {
  if (!calls.available) return lockBySqlite(path);
  closeSync(openSync(path, "a", 0o600));
  return lockByFlock(path, calls);
}

const TURN_PATIENCE_MS = 10_000;
const TURN_RETRY_MS = 10;

/** The same, waited for: for writes of a moment by whatever processes. Fails with `state.locked` after ten seconds. */
export async function openFileLockInTurn(path: string): Promise<Disposable> {
  const deadline = performance.now() + TURN_PATIENCE_MS;
  for (;;) {
    const lock = openExclusiveFileLock(path);
    if (lock !== undefined) return lock;
    if (performance.now() > deadline) throw new Problem("state.locked", { detail: `Another process holds ${path}.` });
    await delay(TURN_RETRY_MS);
  }
}

type FlockCalls = Pick<Native, "available" | "flock">;

function lockByFlock(path: string, calls: FlockCalls): Disposable | undefined {
  const descriptor = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW);
  const release = () => closeSync(descriptor);
  try {
    if (calls.flock(descriptor, true, true)) return { [Symbol.dispose]: release };
  } catch (failure) {
    release();
    throw failure;
  }
  release();
  return undefined;
}

function lockBySqlite(path: string): Disposable | undefined {
  // Loaded here: it costs every start some milliseconds, and few hosts lack the native calls.
  const { DatabaseSync } = createRequire(import.meta.url)("node:sqlite") as Sqlite;
  closeSync(openSync(path, "a", 0o600));
  const database = new DatabaseSync(path, { timeout: 0 });
  try {
    database.exec("PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE");
    return { [Symbol.dispose]: () => database.close() };
  } catch (failure) {
    database.close();
    if (isBusy(failure)) return undefined;
    throw failure;
  }
}

/** SQLITE_BUSY is 5. */
function isBusy(failure: unknown): boolean {
  return failure instanceof Error && "errcode" in failure && failure.errcode === 5;
}
