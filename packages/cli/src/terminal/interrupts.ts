import { constants } from "node:os";
import { note } from "./print.ts";

/** Signals by which a person, a supervisor or a closed window ends a command. */
export const ENDING_SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT"] as const;

/** As shells say it of a command that a signal ended. */
export function exitCodeOf(signal: NodeJS.Signals): number {
  return 128 + constants.signals[signal];
}

/**
 * Keeps a signal from ending this process while something begins elsewhere that would go on without it. Before anything
 * began, a signal ends the process, which says so.
 */
export class Interrupts implements Disposable {
  readonly #listeners: readonly (readonly [name: NodeJS.Signals, listener: () => void])[];
  readonly #asked = Promise.withResolvers<NodeJS.Signals>();
  #hasAsked = false;
  #leftBehind: string | undefined;

  constructor() {
    this.#listeners = ENDING_SIGNALS.map((name) => [name, () => this.#take(name)] as const);
    for (const [name, listener] of this.#listeners) process.on(name, listener);
  }

  /**
   * From now on a signal is an answer, to be acted upon; Ctrl-C once more ends the process where it is, and says what
   * that leaves behind.
   */
  hold(leftBehind: string): Promise<NodeJS.Signals> {
    this.#leftBehind = leftBehind;
    return this.#asked.promise;
  }

  #take(name: NodeJS.Signals): void {
    if (this.#leftBehind === undefined) this.#end(name, "interrupted: nothing was started");
    else if (!this.#hasAsked) this.#asked.resolve(name);
    else if (name === "SIGINT") this.#end(name, this.#leftBehind);
    this.#hasAsked = true;
  }

  /** As the signal itself would have. */
  #end(name: NodeJS.Signals, said: string): void {
    note(said);
    this[Symbol.dispose]();
    process.kill(process.pid, name);
  }

  [Symbol.dispose](): void {
    for (const [name, listener] of this.#listeners) process.off(name, listener);
  }
}
