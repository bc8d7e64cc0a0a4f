import { closeSync } from "node:fs";
import { ReadStream } from "node:tty";
import { native, type TerminalSize } from "@gatehouse/kit";
import { OutputLog } from "./output-log.ts";
import { RunInput } from "./run-input.ts";
import type { SandboxStreams } from "./sandbox-streams.ts";

/** What ends input at a terminal. */
const END_OF_INPUT = "\u0004";

/** A terminal in place of the streams of a detached command: what it shows goes into the output log. */
export class RecordedTerminal implements SandboxStreams {
  readonly stdio: readonly number[];
  readonly errors = undefined;
  readonly input: RunInput;
  readonly #log: OutputLog;
  readonly #controller: number;
  readonly #shown: ReadStream;
  #given: number | undefined;

  constructor(runDir: string, size: TerminalSize) {
    const { controller, terminal } = native.openTerminal(size);
    this.stdio = [terminal, terminal, terminal];
    this.#given = terminal;
    this.#controller = controller;
    this.#shown = new ReadStream(controller);
    // The last of its programs closed it: there is no more.
    this.#shown.on("error", () => this.#shown.destroy());
    this.input = new RunInput(this.#shown, () => this.#shown.write(END_OF_INPUT));
    this.#log = new OutputLog(runDir);
  }

  release(): void {
    if (this.#given !== undefined) closeSync(this.#given);
    this.#given = undefined;
  }

  follow(): void {
    this.#log.follow(this.#shown, "stdout");
  }

  resize(size: TerminalSize): void {
    if (!this.#shown.destroyed) native.resizeTerminal(this.#controller, size);
  }

  /** Waits a moment for what it still shows. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.release();
    await this.#log[Symbol.asyncDispose]();
    this.#shown.destroy();
  }
}
