import { closeSync } from "node:fs";
import { Socket } from "node:net";
import { makePipe, type PipeEnds } from "./make-pipe.ts";
import { OutputLog } from "./output-log.ts";
import type { SandboxStreams } from "./sandbox-streams.ts";

/** The standard streams of a detached run: no input, and pipes into its output log. */
export class RecordedStreams implements SandboxStreams {
  readonly stdio: SandboxStreams["stdio"];
  readonly errors: Socket;
  readonly #output: Socket;
  readonly #log: OutputLog;
  readonly #given: Set<number>;

  constructor(runDir: string) {
    const [out, errors] = [makePipe(runDir, "read"), makePipe(runDir, "read")];
    this.stdio = ["ignore", out.write, errors.write];
    this.#given = new Set([out.write, errors.write]);
    this.#output = open(out);
    this.errors = open(errors);
    this.#log = new OutputLog(runDir);
  }

  release(): void {
    for (const fd of this.#given) closeSync(fd);
    this.#given.clear();
  }

  follow(): void {
    for (const pipe of [this.#output, this.errors]) this.#log.follow(pipe);
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
