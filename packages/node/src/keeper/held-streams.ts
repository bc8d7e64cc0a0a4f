import { closeSync } from "node:fs";
import { native, type TerminalSize } from "@gatehouse/kit";
import type { StreamName } from "./keeper-socket.ts";
import { makePipe } from "./make-pipe.ts";

/** The standard streams of a command whose other ends somebody takes, once each. */
export class HeldStreams implements Disposable {
  readonly stdio: readonly number[];
  readonly #given: Set<number>;
  readonly #ends: Map<StreamName, number>;

  constructor(directory: string, terminal: TerminalSize | undefined) {
    if (terminal !== undefined) {
      const made = native.openTerminal(terminal);
      this.stdio = [made.terminal, made.terminal, made.terminal];
      this.#given = new Set(this.stdio);
      this.#ends = new Map([["terminal", made.controller]]);
      return;
    }
    const input = makePipe(directory, "write");
    const [output, errors] = [makePipe(directory, "read"), makePipe(directory, "read")];
    this.stdio = [input.read, output.write, errors.write];
    this.#given = new Set(this.stdio);
    this.#ends = new Map([
      ["input", input.write],
      ["output", output.read],
      ["errors", errors.read],
    ]);
  }

  /** The command has its ends: ours of them go. */
  release(): void {
    for (const fd of this.#given) closeSync(fd);
    this.#given.clear();
  }

  /** Sends an end away and closes it here. False where it is gone. */
  hand(name: StreamName, send: (fd: number) => void): boolean {
    const fd = this.#ends.get(name);
    if (fd === undefined) return false;
    this.#ends.delete(name);
    try {
      send(fd);
    } finally {
      closeSync(fd);
    }
    return true;
  }

  [Symbol.dispose](): void {
    this.release();
    for (const fd of this.#ends.values()) closeSync(fd);
    this.#ends.clear();
  }
}
