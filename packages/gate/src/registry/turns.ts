import { Problem } from "@gatehouse/core";

/** Lets changes of one thing happen one after the other, in the order in which they were asked for. */
export class Turns {
  readonly #last = new Map<string, Promise<unknown>>();
  #isClosed = false;

  /** Runs `act` when everything that was asked for `key` before is over, however it ended. */
  async take<T>(key: string, act: () => Promise<T>): Promise<T> {
    if (this.#isClosed) throw new Problem("daemon.handing_over");
    const before = this.#last.get(key) ?? Promise.resolve();
    const turn = before.then(act, act);
    this.#last.set(key, turn);
    try {
      return await turn;
    } finally {
      if (this.#last.get(key) === turn) this.#last.delete(key);
    }
  }

  /** Refuses what comes from now on with `daemon.handing_over`, and resolves when what was asked for before is over. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await Promise.allSettled(this.#last.values());
  }
}
