import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { eventually } from "../system/eventually.ts";
import type { Finished } from "../system/run-process.ts";

export interface RunningCommandOptions {
  readonly env: Readonly<Record<string, string>>;
  readonly cwd?: string;
}

/** A process that is watched while it runs. */
export class RunningCommand {
  readonly #child: ChildProcess;
  readonly #output = { stdout: "", stderr: "" };
  readonly #closed: Promise<Finished>;

  constructor(command: readonly string[], { env, cwd }: RunningCommandOptions) {
    const [program = "", ...args] = command;
    this.#child = spawn(program, args, { stdio: "pipe", env: { ...env }, ...(cwd === undefined ? {} : { cwd }) });
    for (const name of ["stdout", "stderr"] as const) {
      this.#child[name]?.setEncoding("utf8").on("data", (text: string) => {
        this.#output[name] += text;
      });
    }
    this.#child.stdin?.on("error", () => this.#child.stdin?.destroy());
    this.#closed = once(this.#child, "close").then(([code]: unknown[]) => ({
      code: typeof code === "number" ? code : -1,
      ...this.#output,
    }));
    // Whoever asks for the end learns of a failed start there.
    this.#closed.catch(() => undefined);
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  get stdout(): string {
    return this.#output.stdout;
  }

  get stderr(): string {
    return this.#output.stderr;
  }

  /** Complete lines of standard output so far. */
  get lines(): readonly string[] {
    return this.#output.stdout.split("\n").slice(0, -1);
  }

  get isRunning(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** Resolves when the process and its streams have ended; the code is -1 when a signal ended it. */
  get finished(): Promise<Finished> {
    return this.#closed;
  }

  write(text: string): void {
    this.#child.stdin?.write(text);
  }

  endInput(): void {
    this.#child.stdin?.end();
  }

  kill(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** The first line that `matches`, now or later. Fails when the process ends first, with what it said. */
  async line(what: string, matches: (line: string) => boolean, timeoutMs: number = 20_000): Promise<string> {
    return eventually(
      () => `${what}; it said: ${this.stdout.slice(-2_000)}${this.stderr.slice(-2_000)}`,
      () => {
        const line = this.lines.find(matches);
        if (line === undefined && !this.isRunning)
          throw new Error(`ended before ${what}: ${this.stdout}${this.stderr}`);
        return line;
      },
      { timeoutMs, everyMs: 5 },
    );
  }
}
