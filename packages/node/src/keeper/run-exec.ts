import { Lifetime } from "@gatehouse/core";
import type { TerminalSize } from "@gatehouse/kit";
import { insideCommand } from "../sandbox/wrap-command.ts";
import type { ExecLaunch } from "./exec-file.ts";
import type { ExitStatus } from "./exit-status.ts";
import { HeldStreams } from "./held-streams.ts";
import { type JoinedProcess, spawnJoined } from "./joined-process.ts";
import { type KeeperActions, serveKeeper } from "./keeper-socket.ts";
import type { RunNamespaces } from "./open-namespaces.ts";
import { RecordedStreams } from "./recorded-streams.ts";
import { RunInput } from "./run-input.ts";
import { stopProcess } from "./stop-process.ts";

/** Whoever asked for a command takes hold of it at once. */
const HELD_WITHIN_MS = 10_000;
/** As timeout(1) says it. */
const TIMED_OUT = 124;

export interface ExecPlace {
  readonly directory: string;
  readonly socketPath: string;
  readonly namespaces: RunNamespaces;
}

/** A further command in a run, with a socket of its own. Disposing ends it. */
export interface RunExec extends AsyncDisposable {
  /** Resolves when it ended and what it wrote is kept. */
  readonly exited: Promise<ExitStatus>;
  /** Nobody will ask for its end any more. */
  readonly settled: Promise<void>;
  readonly kill: () => void;
}

type ExecStreams = Pick<KeeperActions, "hand" | "give"> &
  AsyncDisposable & {
    readonly stdio: readonly ("inherit" | "ignore" | number)[];
    readonly inputOffset: () => number | undefined;
    release(): void;
    follow(): void;
    /** What it wrote is where it is kept. */
    drain(): Promise<void>;
  };

/** Starts a command in the namespaces of a run and serves its socket. Fails with `exec.start_failed`. */
export async function openExec(asked: ExecLaunch, { directory, socketPath, namespaces }: ExecPlace): Promise<RunExec> {
  const { execId, command, workdir, timeoutMs, isHeld } = asked;
  const life = new Lifetime();
  try {
    const streams = life.own(isHeld ? heldStreams(directory, asked.terminal) : recordedStreams(directory));
    const env = { ...asked.env, PWD: workdir };
    const isTerminal = asked.terminal !== undefined;
    const inside = insideCommand({ command, isTerminal });
    const joined = life.own(await spawnJoined({ command: inside, workdir, env, isTerminal }, namespaces, streams));
    streams.follow();
    const hold = life.own(new Hold(joined, isHeld));
    let state: "running" | "exited" = "running";
    const ended = inTime(joined, timeoutMs).then(async (exit) => {
      state = "exited";
      await streams.drain();
      return exit;
    });
    const startedAt = Date.now();
    life.own(
      await serveKeeper(socketPath, {
        hand: streams.hand,
        give: streams.give,
        signal: (name) => joined.signal(name),
        status: () => ({ runId: execId, pid: process.pid, startedAt, state, inputOffset: streams.inputOffset() }),
        stop: (graceMs) => stopProcess(joined, graceMs),
        hold: (left) => hold.take(left, ended),
      }),
    );
    const settled = Promise.all([ended, hold.settled]).then(() => undefined);
    const kill = () => joined.kill();
    return { exited: ended, settled, kill, [Symbol.asyncDispose]: () => life[Symbol.asyncDispose]() };
  } catch (failure) {
    await life[Symbol.asyncDispose]();
    throw failure;
  }
}

/** A command that somebody holds ends when they leave, or do not come; until then its end waits for them. */
class Hold implements Disposable {
  readonly #joined: JoinedProcess;
  readonly #settled = Promise.withResolvers<void>();
  #timer: NodeJS.Timeout | undefined;

  constructor(joined: JoinedProcess, isHeld: boolean) {
    this.#joined = joined;
    if (isHeld) this.#timer = setTimeout(() => this.#leave(), HELD_WITHIN_MS);
    else this.#settled.resolve();
  }

  get settled(): Promise<void> {
    return this.#settled.promise;
  }

  async take(left: AbortSignal, ended: Promise<ExitStatus>): Promise<ExitStatus> {
    clearTimeout(this.#timer);
    left.addEventListener("abort", () => this.#leave(), { once: true });
    const exit = await ended;
    this.#settled.resolve();
    return exit;
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
  }

  #leave(): void {
    this.#joined.kill();
    this.#settled.resolve();
  }
}

function heldStreams(directory: string, terminal: TerminalSize | undefined): ExecStreams {
  const held = new HeldStreams(directory, terminal);
  return {
    stdio: held.stdio,
    inputOffset: () => undefined,
    hand: (name, send) => name !== "listener" && held.hand(name, send),
    give: async () => false,
    release: () => held.release(),
    follow: () => undefined,
    drain: async () => undefined,
    [Symbol.asyncDispose]: async () => held[Symbol.dispose](),
  };
}

function recordedStreams(directory: string): ExecStreams {
  const input = new RunInput(directory);
  const recorded = new RecordedStreams(directory, input.fd);
  return {
    stdio: recorded.stdio,
    inputOffset: () => input.offset,
    hand: () => false,
    give: (piece) => input.give(piece),
    release: () => recorded.release(),
    follow: () => recorded.follow(),
    drain: () => recorded[Symbol.asyncDispose](),
    [Symbol.asyncDispose]: async () => {
      await recorded[Symbol.asyncDispose]();
      input[Symbol.dispose]();
    },
  };
}

/** Ends a command whose time is over; 0: it has as long as it takes. */
async function inTime(joined: JoinedProcess, timeoutMs: number): Promise<ExitStatus> {
  if (timeoutMs === 0) return joined.exited;
  let isLate = false;
  const timer = setTimeout(() => {
    isLate = true;
    joined.kill();
  }, timeoutMs);
  const exit = await joined.exited;
  clearTimeout(timer);
  return isLate ? { code: TIMED_OUT } : exit;
}
