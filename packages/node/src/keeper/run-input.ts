import { Socket } from "node:net";
import { makePipe } from "./make-pipe.ts";

/** A piece of a run's standard input, as the daemon passes it on. */
export interface InputPiece {
  /** Of its first byte, counted from the run's start. */
  readonly offset: number;
  readonly data: Uint8Array;
  /** Nothing comes after it. */
  readonly isLast: boolean;
}

/** A pipe for the standard input of a run. `fd` is the sandbox's end: for whoever spawns it to pass on and to close. */
export function openPipedInput(runDir: string): { readonly fd: number; readonly input: RunInput } {
  const { read, write } = makePipe(runDir, "write");
  const pipe = new Socket({ fd: write, readable: false });
  return { fd: read, input: new RunInput(pipe, () => pipe.end()) };
}

/** The standard input of a run that somebody attaches to: each byte is given once, however often it is sent. */
export class RunInput implements Disposable {
  readonly #pipe: Socket;
  readonly #end: () => void;
  #offset = 0;

  /** `end` says to the command that nothing more comes. */
  constructor(pipe: Socket, end: () => void) {
    this.#pipe = pipe;
    this.#end = end;
    // Who reads no input closes it: what still comes is thrown away.
    this.#pipe.on("error", () => this.#pipe.destroy());
  }

  /** Bytes that were given so far. */
  get offset(): number {
    return this.#offset;
  }

  /** Resolves when the pipe takes more. False where bytes before these are missing: nothing was given. */
  async give({ offset, data, isLast }: InputPiece): Promise<boolean> {
    if (offset > this.#offset) return false;
    const fresh = data.subarray(this.#offset - offset);
    this.#offset += fresh.length;
    if (fresh.length > 0) await this.#write(fresh);
    if (isLast) this.#end();
    return true;
  }

  #write(data: Uint8Array): Promise<void> {
    if (!this.#pipe.writable) return Promise.resolve();
    return new Promise((resolve) => {
      this.#pipe.once("close", resolve);
      this.#pipe.write(data, () => {
        this.#pipe.off("close", resolve);
        resolve();
      });
    });
  }

  [Symbol.dispose](): void {
    this.#pipe.destroy();
  }
}
