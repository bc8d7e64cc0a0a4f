import { closeSync, createReadStream, fstatSync, type Stats, writeFileSync } from "node:fs";
import { Socket } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { Problem } from "@gatehouse/core";
import { makePipe } from "./make-pipe.ts";
import type { SandboxStreams } from "./sandbox-streams.ts";

const NAMES = ["standard input", "standard output", "standard error"] as const;
/** How long what is still in a pipe is waited for. */
const DRAIN_MS = 2_000;

/**
 * The caller's standard streams for a sandbox. A descriptor of a file can be opened anew through /proc/self/fd: for
 * writing where it was given for reading, from its beginning where it was given to append to; one of a directory leads
 * to everything around it. So files stay outside, at the other end of pipes, and directories are refused.
 */
export class CallerStreams implements SandboxStreams {
  readonly stdio: readonly ("inherit" | number)[];
  readonly errors = undefined;
  /** The sandbox's ends of the pipes; the keeper's own copies go when it has them. */
  readonly #given = new Set<number>();
  #input: Socket | undefined;
  readonly #outputs: { readonly pipe: Socket; readonly fd: number }[] = [];
  #copied: readonly Promise<void>[] = [];

  /** Fails with `sandbox.start_failed` where one of them is a directory. */
  constructor(runDir: string) {
    const [input, output, errors] = NAMES.map((name, fd) => statStream(name, fd));
    // Written to one file, both must come there in their order: they share a pipe.
    const out = this.#openOutput(output, 1, runDir);
    const isShared = output?.dev === errors?.dev && output?.ino === errors?.ino;
    const err = isShared && out !== "inherit" ? out : this.#openOutput(errors, 2, runDir);
    this.stdio = [this.#openInput(input, runDir), out, err];
  }

  #openInput(stats: Stats | undefined, runDir: string): "inherit" | number {
    if (!isFile(stats)) return "inherit";
    const { read, write } = makePipe(runDir, "write");
    this.#input = new Socket({ fd: write, readable: false });
    this.#given.add(read);
    return read;
  }

  #openOutput(stats: Stats | undefined, fd: number, runDir: string): "inherit" | number {
    if (!isFile(stats)) return "inherit";
    const { read, write } = makePipe(runDir, "read");
    this.#outputs.push({ pipe: new Socket({ fd: read, writable: false }), fd });
    this.#given.add(write);
    return write;
  }

  release(): void {
    for (const fd of this.#given) closeSync(fd);
    this.#given.clear();
  }

  /** Copies between the files and the pipes from now on. */
  follow(): void {
    this.#copied = this.#outputs.map(({ pipe, fd }) => copy(pipe, fd));
    const input = this.#input;
    if (input === undefined) return;
    // Who reads no input closes it.
    input.on("error", () => input.destroy());
    const source = createReadStream("", { fd: 0, autoClose: false });
    source.on("error", () => input.destroy()).pipe(input);
  }

  /** Waits a moment for what the pipes still hold. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.release();
    this.#input?.destroy();
    const late = new AbortController();
    const drained = delay(DRAIN_MS, undefined, { signal: late.signal }).catch(() => undefined);
    await Promise.race([Promise.all(this.#copied), drained]);
    late.abort();
    for (const { pipe } of this.#outputs) pipe.destroy();
  }
}

function statStream(name: string, fd: number): Stats {
  const stats = fstatSync(fd);
  if (stats.isDirectory()) throw new Problem("sandbox.start_failed", { detail: `Its ${name} is a directory.` });
  return stats;
}

function isFile(stats: Stats | undefined): boolean {
  return stats !== undefined && (stats.isFile() || stats.isBlockDevice());
}

/** What cannot be written breaks the pipe, as a full disk would end the command's own writing. */
async function copy(pipe: Socket, fd: number): Promise<void> {
  try {
    for await (const chunk of pipe) writeFileSync(fd, chunk as Buffer);
  } catch {
    pipe.destroy();
  }
}
