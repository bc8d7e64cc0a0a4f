import { closeSync } from "node:fs";
import { Socket } from "node:net";
import { makePipe, type PipeEnds } from "./make-pipe.ts";
import { OutputLog } from "./output-log.ts";
import type { SandboxStreams } from "./sandbox-streams.ts";

/** The standard streams of a detached run: an input where somebody may attach to it, and pipes into its output log. */
export class RecordedStreams implements SandboxStreams {
  readonly stdio: SandboxStreams["stdio"];
  readonly errors: Socket;
  readonly #output: Socket;
  readonly #log: OutputLog;
  readonly #given: Set<number>;

  /** Takes the sandbox's end of its input over. */
  constructor(runDir: string, input: number | undefined) {
    const [out, errors] = [makePipe(runDir, "read"), makePipe(runDir, "read")];
    this.stdio = [input ?? "ignore", out.write, errors.write];
    this.#given = new Set([out.write, errors.write, ...(input === undefined ? [] : [input])]);
    this.#output = open(out);
    this.errors = open(errors);
    this.#log = new OutputLog(runDir);
  }

  release(): void {
    for (const fd of this.#given) closeSync(fd);
    this.#given.clear();
  }

  follow(): void {
    this.#log.follow(this.#output, "stdout");
    this.#log.follow(this.errors, "stderr");
  }

  /** Waits a moment for what the pipes still hold. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.release();
    await this.#log[Symbol.asyncDispose]();
    for (const pipe of [this.#output, this.errors]) pipe.destroy();
  }
}

function open({ read }: PipeEnds): Socket {
  return new Socket({ fd: read, writable: false });
}
