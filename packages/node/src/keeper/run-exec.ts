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
import { RecordedTerminal } from "./recorded-terminal.ts";
import { openPipedInput, type RunInput } from "./run-input.ts";
import type { SandboxStreams } from "./sandbox-streams.ts";
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
    readonly resize: (size: TerminalSize) => void;
    /** What it wrote is where it is kept. */
    drain(): Promise<void>;
  };

/** Starts a command in the namespaces of a run and serves its socket. Fails with `exec.start_failed`. */
export async function openExec(asked: ExecLaunch, { directory, socketPath, namespaces }: ExecPlace): Promise<RunExec> {
  const { execId, command, workdir, timeoutMs, isHeld } = asked;
  const life = new Lifetime();
  try {
    const streams = life.own(openStreams(asked, directory));
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
    const known = { runId: execId, pid: process.pid, startedAt: Date.now(), hasTerminal: isTerminal };
    life.own(
      await serveKeeper(socketPath, {
        hand: streams.hand,
        give: streams.give,
        signal: (name) => joined.signal(name),
        status: () => ({ ...known, state, inputOffset: streams.inputOffset() }),
        resize: streams.resize,
        stop: (graceMs) => stopProcess(joined, { graceMs, isTerminal }),
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

function openStreams({ isHeld, terminal }: ExecLaunch, directory: string): ExecStreams {
  if (isHeld) return heldStreams(new HeldStreams(directory, terminal));
  if (terminal !== undefined) {
    const shown = new RecordedTerminal(directory, terminal);
    return recordedStreams(shown, shown.input, (size) => shown.resize(size));
  }
  const { fd, input } = openPipedInput(directory);
  return recordedStreams(new RecordedStreams(directory, fd), input, () => undefined);
}

function heldStreams(held: HeldStreams): ExecStreams {
  return {
    stdio: held.stdio,
    inputOffset: () => undefined,
    hand: (name, send) => name !== "listener" && held.hand(name, send),
    give: async () => false,
    // Whoever took the terminal sets its size.
    resize: () => undefined,
    release: () => held.release(),
    follow: () => undefined,
    drain: async () => undefined,
    [Symbol.asyncDispose]: async () => held[Symbol.dispose](),
  };
}

function recordedStreams(
  recorded: Omit<SandboxStreams, "errors">,
  input: RunInput,
  resize: ExecStreams["resize"],
): ExecStreams {
  return {
    stdio: recorded.stdio,
    inputOffset: () => input.offset,
    hand: () => false,
    give: (piece) => input.give(piece),
    resize,
    release: () => recorded.release(),
    follow: () => recorded.follow(),
    drain: async () => {
      await recorded[Symbol.asyncDispose]();
    },
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
