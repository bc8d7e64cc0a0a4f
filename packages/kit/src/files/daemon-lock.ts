import { readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { Problem } from "@gatehouse/core";
import { openExclusiveLock } from "./exclusive-lock.ts";
import { readPrivateFile, removeFile } from "./private-file.ts";
import { sweepTemporaries } from "./sweep-temporaries.ts";
import { writeFileAtomic } from "./write-file-atomic.ts";

const LOCK_FILE = "daemon.lock";
const LOCK_PATIENCE_MS = 500;
const LOCK_RETRY_MS = 20;

/** What `daemon.lock` says of the daemon that runs. Field names are the wire's. */
export interface DaemonLockDetails {
  readonly pid: number;
  /** Port of the gate on loopback; 0 while it starts. */
  readonly proxy_port: number;
  readonly sock_path: string;
  /** RFC 3339. */
  readonly started_at: string;
  readonly commit: string;
}

/** The daemon's hold on its state directory. Disposing removes `daemon.lock` and lets go. */
export interface DaemonLock extends AsyncDisposable {
  /** Writes changed details (the port, once it is known). Fails with `state.write_failed`. */
  update(changes: Partial<DaemonLockDetails>): Promise<void>;
  /** Lets go for a successor, which writes the file anew. */
  release(): void;
  /** Takes hold again when the successor did not come. Fails with `state.locked`. */
  retake(): Promise<void>;
}

/**
 * Takes the state directory for one daemon, removes what killed writers left there, and writes `daemon.lock`. The lock
 * is the kernel's and ends with the process; the file only informs. Fails with `state.locked`, naming the pid where the
 * file does.
 */
export async function openDaemonLock(directory: string, details: DaemonLockDetails): Promise<DaemonLock> {
  const path = join(directory, LOCK_FILE);
  const take = async () => {
    const taken = await takeLock(directory);
    if (taken === undefined) throw new Problem("state.locked", { detail: await describeHolder(directory) });
    return taken;
  };
  let lock: Disposable | undefined = await take();
  let current = details;
  try {
    await sweepTemporaries(directory, Date.now());
    await writeFileAtomic(path, render(current));
  } catch (failure) {
    lock[Symbol.dispose]();
    throw failure;
  }
  return {
    release: () => {
      lock?.[Symbol.dispose]();
      lock = undefined;
    },
    retake: async () => {
      lock ??= await take();
      await writeFileAtomic(path, render(current));
    },
    update: async (changes) => {
      current = { ...current, ...changes };
      if (lock === undefined) return;
      await writeFileAtomic(path, render(current));
    },
    [Symbol.asyncDispose]: async () => {
      if (lock === undefined) return;
      try {
        await removeFile(path);
      } finally {
        lock[Symbol.dispose]();
      }
    },
  };
}

/**
 * Reads who runs. `undefined` when nobody does: no file, one that cannot be understood, or a pid that is dead. A live
 * pid may still be a stranger that took the number over, so ask the socket too.
 */
export async function readDaemonLock(directory: string): Promise<DaemonLockDetails | undefined> {
  const data = await readPrivateFile(join(directory, LOCK_FILE));
  const details = data === undefined ? undefined : parseDetails(data.toString("utf8"));
  return details !== undefined && isAlive(details.pid) ? details : undefined;
}

/** The kernel lets go when the last thread of a killed process has ended, which may be after it is seen as dead. */
async function takeLock(directory: string): Promise<Disposable | undefined> {
  const deadline = performance.now() + LOCK_PATIENCE_MS;
  for (;;) {
    const lock = openExclusiveLock(directory);
    if (lock !== undefined || performance.now() > deadline) return lock;
    await delay(LOCK_RETRY_MS);
  }
}

async function describeHolder(directory: string): Promise<string> {
  const holder = await readDaemonLock(directory);
  return holder === undefined ? `It holds ${directory}.` : `Process ${holder.pid} holds ${directory}.`;
}

function render(details: DaemonLockDetails): string {
  return `${JSON.stringify(details)}\n`;
}

function parseDetails(text: string): DaemonLockDetails | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (typeof value !== "object" || value === null) return undefined;
  const { pid, proxy_port, sock_path, started_at, commit } = value as Record<string, unknown>;
  if (!isPositiveInteger(pid) || typeof proxy_port !== "number" || typeof sock_path !== "string") return undefined;
  if (typeof started_at !== "string" || typeof commit !== "string") return undefined;
  return { pid, proxy_port, sock_path, started_at, commit };
}

function isPositiveInteger(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) > 0;
}

/** Signal 0 only asks; EPERM means that the process is there and another user's. */
function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return !isZombie(pid);
  } catch (failure) {
    return failure instanceof Error && "code" in failure && failure.code === "EPERM";
  }
}

/** Dead, but nobody has asked how it ended: containers without an init keep such for good. */
function isZombie(pid: number): boolean {
  try {
    return /^.*\) [ZX] /.test(readFileSync(`/proc/${pid}/stat`, "latin1"));
  } catch {
    return false; // no /proc here, or gone by now: the next look tells
  }
}
