import { spawn } from "node:child_process";
import { openSync } from "node:fs";
import { readFile, rename } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";
import { Problem } from "@gatehouse/core";
import { childEnvironment, openExclusiveFileLock, openStateDirectory, readDaemonLock } from "@gatehouse/kit";
import { askHealth, type DaemonHealth } from "./ask-health.ts";

export interface EnsureRunningOptions {
  readonly stateDir: string;
  /** Program and arguments that start a daemon on this state directory, which ends by itself when it is not needed. */
  readonly command: readonly [string, ...string[]];
  /** Commit of the caller's build: a daemon of another one hands over to a new daemon. Absent: any will do. */
  readonly commit?: string;
  /** Default 20,000. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

/** The daemon that answers. */
export interface RunningDaemon {
  readonly health: DaemonHealth;
  readonly socketPath: string;
  /** It was started for this call. */
  readonly isNew: boolean;
}

const UNKNOWN_COMMIT = "unknown";
const DEFAULT_TIMEOUT_MS = 20_000;
/** A daemon whose gate is being started again answers within this. */
const REVIVE_MS = 3_000;
const ASK_EVERY_MS = 25;
const MAX_QUOTED_CHARACTERS = 500;
/** Settings reach the daemon as they reached the command. */
const SETTING = /^GATEHOUSE_/;

/**
 * Returns when a daemon answers on the state directory, and starts one when none does. However many callers come at
 * once, one daemon is started: they wait for one another at a lock of the kernel. What `daemon.lock` says is believed
 * only of a live process whose socket answers. Fails with `daemon.start_failed`, quoting the log's end, or
 * `daemon.timeout`.
 */
export async function ensureRunning(options: EnsureRunningOptions): Promise<RunningDaemon> {
  const state = await openStateDirectory(options.stateDir);
  const socketPath = state.file("daemon.sock");
  const there = await findRunning(state.path, socketPath);
  if (there !== undefined && isCurrent(there, options)) return { health: there, socketPath, isNew: false };
  const deadline = performance.now() + (options.timeoutMs ?? DEFAULT_TIMEOUT_MS);
  using _turn = await takeTurn(state.file("daemon.spawn"), { deadline, signal: options.signal });
  const revived = await awaitRevival(state.path, socketPath);
  if (revived !== undefined && isCurrent(revived, options)) return { health: revived, socketPath, isNew: false };
  const place = { logPath: state.file("daemon.log"), socketPath, deadline };
  const flags = revived === undefined ? [] : ["--take-over"];
  try {
    return { health: await start(options, { ...place, flags }), socketPath, isNew: true };
  } catch (failure) {
    // One that cannot hand over (an older one, say) serves on.
    const old = revived === undefined ? undefined : await findRunning(state.path, socketPath);
    if (old === undefined) throw failure;
    return { health: old, socketPath, isNew: false };
  }
}

/** A build without a commit of its own is nobody's successor. */
function isCurrent({ commit }: DaemonHealth, options: EnsureRunningOptions): boolean {
  return [commit, undefined, UNKNOWN_COMMIT].includes(options.commit) || commit === UNKNOWN_COMMIT;
}

interface Patience {
  readonly deadline: number;
  readonly signal: AbortSignal | undefined;
}

async function takeTurn(path: string, { deadline, signal }: Patience): Promise<Disposable> {
  for (;;) {
    const lock = openExclusiveFileLock(path);
    if (lock !== undefined) return lock;
    if (performance.now() > deadline) throw new Problem("daemon.timeout", { detail: "Another start does not end." });
    await delay(ASK_EVERY_MS, undefined, signal === undefined ? {} : { signal });
  }
}

/** Lock and socket must name one live process: the gate of a daemon that was killed answers for a moment longer. */
async function findRunning(stateDir: string, socketPath: string): Promise<DaemonHealth | undefined> {
  const lock = await readDaemonLock(stateDir);
  const health = lock === undefined ? undefined : await askHealth(socketPath);
  return health?.pid === lock?.pid ? health : undefined;
}

/** Somebody may have started it while this caller waited, or its gate is on its way back. */
async function awaitRevival(stateDir: string, socketPath: string): Promise<DaemonHealth | undefined> {
  const deadline = performance.now() + REVIVE_MS;
  for (;;) {
    const health = await findRunning(stateDir, socketPath);
    if (health !== undefined) return health;
    if ((await readDaemonLock(stateDir)) === undefined || performance.now() > deadline) return undefined;
    await delay(ASK_EVERY_MS);
  }
}

interface Start {
  readonly logPath: string;
  readonly socketPath: string;
  readonly deadline: number;
  readonly flags: readonly string[];
}

async function start({ command, signal }: EnsureRunningOptions, place: Start): Promise<DaemonHealth> {
  const [program, ...args] = command;
  await rename(place.logPath, `${place.logPath}.1`).catch(() => undefined);
  const log = openSync(place.logPath, "ax", 0o600);
  const child = spawn(program, [...args, ...place.flags], {
    cwd: "/",
    detached: true,
    stdio: ["ignore", log, log],
    env: childEnvironment(settings()),
  });
  child.unref();
  let isOver = false;
  child.once("exit", () => (isOver = true));
  child.once("error", () => (isOver = true));
  while (performance.now() < place.deadline) {
    const health = await askHealth(place.socketPath);
    if (health?.pid === child.pid && health !== undefined) return health;
    if (isOver) throw new Problem("daemon.start_failed", { detail: await lastWords(place.logPath) });
    await delay(ASK_EVERY_MS, undefined, signal === undefined ? {} : { signal });
  }
  throw new Problem("daemon.timeout", { detail: `It is being started; its log is ${place.logPath}.` });
}

function settings(): Record<string, string> {
  const entries = Object.entries(process.env).filter(([name]) => SETTING.test(name));
  return Object.fromEntries(entries.flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])));
}

async function lastWords(path: string): Promise<string> {
  const text = await readFile(path, "utf8").catch(() => "");
  const lines = text.split("\n").filter((line) => /^\S/.test(line));
  const last = lines.at(-1) ?? "";
  return last === "" ? `Its log ${path} is empty.` : last.slice(-MAX_QUOTED_CHARACTERS);
}
