import { RunningCommand, type RunningCommandOptions } from "./running-command.ts";

/** The one line that `up --json` prints when it serves. */
export type ReadyLine = Readonly<Record<string, unknown>> & { readonly ready: true; readonly pid: number };

/** `gatehouse up` of a world, started again as often as a test needs. */
export class WorldDaemon {
  readonly #command: readonly string[];
  readonly #options: RunningCommandOptions;
  #running: RunningCommand | undefined;
  #earlierLogs = "";

  constructor(command: readonly string[], options: RunningCommandOptions) {
    this.#command = command;
    this.#options = options;
  }

  get pid(): number {
    if (this.#running === undefined) throw new Error("the daemon has not been started");
    return this.#running.pid;
  }

  get isRunning(): boolean {
    return this.#running?.isRunning ?? false;
  }

  /** Everything that every daemon of this world wrote on its two streams. */
  get log(): string {
    return this.#earlierLogs + (this.#running === undefined ? "" : this.#running.stdout + this.#running.stderr);
  }

  /** Starts it and waits for its ready line. */
  async start(): Promise<ReadyLine> {
    if (this.isRunning) throw new Error("the daemon runs already");
    this.#earlierLogs = this.log;
    this.#running = new RunningCommand(this.#command, this.#options);
    const line = await this.#running.line("the daemon's ready line", (text) => text.includes('"ready":true'));
    return JSON.parse(line) as ReadyLine;
  }

  /** Asks it to stop and waits. Returns its exit code. */
  async stop(): Promise<number> {
    if (this.#running === undefined) return 0;
    const running = this.#running;
    running.kill("SIGTERM");
    const overdue = setTimeout(() => running.kill("SIGKILL"), 15_000);
    const { code } = await running.finished;
    clearTimeout(overdue);
    return code;
  }

  /** `kill -9`, then waits until it is gone. */
  async kill(): Promise<void> {
    this.#running?.kill("SIGKILL");
    await this.#running?.finished;
  }
}
