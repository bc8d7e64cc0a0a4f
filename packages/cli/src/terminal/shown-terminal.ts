import { type Readable, Transform } from "node:stream";
import type { TerminalSize } from "@gatehouse/kit";
import type { DetachKeys } from "./detach-keys.ts";
import { ownTerminal, windowSize } from "./own-terminal.ts";

const CTRL_C = 0x03;

export interface ShownTerminalDeps {
  /** Ctrl-C was typed; true: nobody else is to get it. */
  readonly interrupt: () => boolean;
  readonly resize: (size: TerminalSize) => void;
  /** Keys that leave the command to itself; default: none. */
  readonly detachKeys?: DetachKeys | undefined;
  /** They were typed. */
  readonly detach: () => void;
}

/** This process's terminal, where it shows that of a command elsewhere. Disposing leaves it as it was. */
export class ShownTerminal implements Disposable {
  /** What is typed, once it shows the command's as the keys themselves. */
  readonly keys: Readable;
  readonly #resize: () => void;
  #isShowing = false;

  /** `undefined` where there is none. */
  static open(deps: ShownTerminalDeps): ShownTerminal | undefined {
    return ownTerminal() === undefined ? undefined : new ShownTerminal(deps);
  }

  private constructor({ interrupt, resize, detachKeys, detach }: ShownTerminalDeps) {
    this.keys = process.stdin.pipe(
      new Transform({
        transform: (typed: Buffer, _, done) => {
          if (!this.#isShowing) return done(null, typed);
          if (typed.includes(CTRL_C) && interrupt()) return done();
          const passed = detachKeys === undefined ? typed : detachKeys.pass(typed);
          if (passed === undefined) detach();
          // Nothing at all would be taken for the end.
          return passed === undefined || passed.length === 0 ? done() : done(null, passed);
        },
      }),
    );
    // Its window was closed: nothing more is typed, and nothing is left to restore.
    process.stdin.on("error", () => this.keys.destroy());
    this.#resize = () => {
      if (this.#isShowing) resize(windowSize());
    };
    process.stdout.on("resize", this.#resize);
  }

  get isShowing(): boolean {
    return this.#isShowing;
  }

  /** From now on every key is the command's. */
  show(): void {
    if (!this.#isShowing) process.stdin.setRawMode(true);
    this.#isShowing = true;
    this.#resize();
  }

  /** It is this process's own again. */
  restore(): void {
    if (this.#isShowing && !process.stdin.destroyed) process.stdin.setRawMode(false);
    this.#isShowing = false;
  }

  [Symbol.dispose](): void {
    process.stdout.off("resize", this.#resize);
    this.restore();
    process.stdin.destroy();
  }
}
