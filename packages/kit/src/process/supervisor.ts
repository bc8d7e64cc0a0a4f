import { type ChildProcess, fork } from "node:child_process";
import type { Log } from "../log/log.ts";
import { childEnvironment } from "./child-environment.ts";
import { forwardOutput } from "./forward-output.ts";

/** First wait before a restart; doubled for each that follows. Small, because connections wait meanwhile. */
const FIRST_BACKOFF_MS = 25;
const MAX_BACKOFF_MS = 1_000;
/** A process that lived this long was well: the next restart is quick again. */
const STABLE_AFTER_MS = 2_000;
const DEFAULT_STOP_DEADLINE_MS = 5_000;
/**
 * No signal opens a debugger. What a request leaves behind is dead when its connection's next one comes: in a young
 * generation of full size from the start it is never copied, and never taken for something old. A larger one gains
 * nothing, and is never given back.
 */
const NODE_OPTIONS = ["--disable-sigusr1", "--min-semi-space-size=16", "--max-semi-space-size=16"];

/** One process that is kept alive. */
export interface ChildSpec {
  /** Stands in the log beside each line that the process writes. Unique within a supervisor. */
  readonly name: string;
  /** The script, absolute (`resolveEntry`). */
  readonly entry: string;
  readonly args?: readonly string[];
  /** Added to `childEnvironment()`. Never a secret. */
  readonly env?: Readonly<Record<string, string>>;
  /**
   * Called for each incarnation right after it was forked: open the IPC peer here and hand it its start. `signal`
   * aborts when this incarnation is gone. A failure kills the incarnation, which then counts as crashed.
   */
  readonly onStart?: (child: ChildProcess, signal: AbortSignal) => void | Promise<void>;
}

/** The end of a process that nobody asked for. */
export interface Crash {
  readonly name: string;
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export interface SupervisorOptions {
  readonly log: Log;
  /** Called once in a supervisor's life, for the first unexpected exit. */
  readonly onCrash?: (crash: Crash) => void;
}

/** A kept process as its owner sees it. */
export interface SupervisedChild {
  /** Of the incarnation that lives now; `undefined` between two. */
  readonly pid: number | undefined;
  /** How often it was started again. */
  readonly restarts: number;
}

/**
 * Starts processes of ours with an IPC channel, writes their output to the log, starts them again when they end, and
 * ends them in reverse order. They get a session of their own: Ctrl-C at a terminal reaches only the first process,
 * which then ends the others in order; one whose parent dies sees its channel close.
 */
export class Supervisor implements AsyncDisposable {
  readonly #options: SupervisorOptions;
  readonly #children: Kept[] = [];
  #isShuttingDown = false;
  #hasCrashed = false;

  constructor(options: SupervisorOptions) {
    this.#options = options;
  }

  /** Starts a process and keeps it. */
  start(spec: ChildSpec): SupervisedChild {
    if (this.#isShuttingDown) throw new Error("a supervisor that is shutting down starts nothing");
    const kept = new Kept(spec, { log: this.#options.log, onExit: (crash) => this.#reportExit(crash) });
    this.#children.push(kept);
    kept.launch();
    return kept;
  }

  /** From here on exits are expected: nothing is reported and nothing started again. */
  beginShutdown(): void {
    this.#isShuttingDown = true;
    for (const child of this.#children) child.release();
  }

  /** Ends every process, the last started first: SIGTERM, then SIGKILL when it still lives after `deadlineMs`. */
  async shutdown(deadlineMs: number = DEFAULT_STOP_DEADLINE_MS): Promise<void> {
    this.beginShutdown();
    for (let child = this.#children.pop(); child !== undefined; child = this.#children.pop()) {
      await child.stop(deadlineMs);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.shutdown();
  }

  #reportExit(crash: Crash): void {
    this.#options.log.error("process ended unexpectedly", { ...crash });
    if (this.#hasCrashed) return;
    this.#hasCrashed = true;
    this.#options.onCrash?.(crash);
  }
}

interface KeptDeps {
  readonly log: Log;
  readonly onExit: (crash: Crash) => void;
}

/** One spec and its incarnations. */
class Kept implements SupervisedChild {
  restarts = 0;
  readonly #spec: ChildSpec;
  readonly #deps: KeptDeps;
  #child: ChildProcess | undefined;
  #exited: Promise<void> = Promise.resolve();
  #backoffMs = FIRST_BACKOFF_MS;
  #timer: NodeJS.Timeout | undefined;
  #isReleased = false;

  constructor(spec: ChildSpec, deps: KeptDeps) {
    this.#spec = spec;
    this.#deps = deps;
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  launch(): void {
    const { name, entry, args = [], env } = this.#spec;
    const child = fork(entry, args, {
      execPath: process.execPath,
      execArgv: NODE_OPTIONS,
      env: childEnvironment(env),
      serialization: "advanced",
      stdio: ["ignore", "pipe", "pipe", "ipc"],
      detached: true,
    });
    this.#child = child;
    for (const stream of [child.stdout, child.stderr]) {
      if (stream !== null) forwardOutput(stream, name, this.#deps.log);
    }
    this.#watch(child);
    this.#deps.log.debug("process started", { process: name, pid: child.pid });
  }

  /** Stops keeping: no report, no restart. */
  release(): void {
    this.#isReleased = true;
    clearTimeout(this.#timer);
  }

  async stop(deadlineMs: number): Promise<void> {
    const child = this.#child;
    if (child === undefined) return;
    child.kill("SIGTERM");
    const timer = setTimeout(() => {
      this.#deps.log.warn("process did not end in time", { process: this.#spec.name, deadlineMs });
      child.kill("SIGKILL");
    }, deadlineMs);
    await this.#exited;
    clearTimeout(timer);
  }

  #watch(child: ChildProcess): void {
    const startedAt = performance.now();
    const gone = new AbortController();
    this.#exited = new Promise((resolve) => {
      const onEnd = (code: number | null, signal: NodeJS.Signals | null) => {
        if (gone.signal.aborted) return;
        gone.abort(new Error(`${this.#spec.name} ended`));
        this.#child = undefined;
        resolve();
        this.#afterExit({ name: this.#spec.name, code, signal }, performance.now() - startedAt);
      };
      child.once("exit", onEnd);
      // A fork that failed has no exit.
      child.once("error", (failure) => {
        this.#deps.log.error("process failed", { process: this.#spec.name, failure });
        if (child.pid === undefined) onEnd(null, null);
      });
    });
    if (child.pid !== undefined) void this.#greet(child, gone.signal);
  }

  async #greet(child: ChildProcess, signal: AbortSignal): Promise<void> {
    try {
      await this.#spec.onStart?.(child, signal);
    } catch (failure) {
      if (signal.aborted || this.#isReleased) return;
      this.#deps.log.error("process could not be started up", { process: this.#spec.name, failure });
      child.kill("SIGKILL");
    }
  }

  #afterExit(crash: Crash, livedMs: number): void {
    if (this.#isReleased) return;
    this.#deps.onExit(crash);
    if (livedMs >= STABLE_AFTER_MS) this.#backoffMs = FIRST_BACKOFF_MS;
    const waitMs = this.#backoffMs;
    this.#backoffMs = Math.min(this.#backoffMs * 2, MAX_BACKOFF_MS);
    this.#timer = setTimeout(() => {
      this.restarts += 1;
      this.launch();
    }, waitMs);
  }
}
