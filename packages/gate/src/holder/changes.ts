import { Problem } from "@gatehouse/core";

/**
 * Changes of what the key-holder holds, each with all that belongs to it: what it writes, and what it tells the workers.
 * When they are closed, what is on disk is what every worker was told, and it stays so.
 */
export class Changes {
  readonly #underWay = new Set<Promise<unknown>>();
  #isClosed = false;

  /** Fails with `daemon.handing_over` when they are closed; then nothing is begun. */
  async make<T>(act: () => Promise<T>): Promise<T> {
    if (this.#isClosed) throw new Problem("daemon.handing_over");
    const change = act();
    this.#underWay.add(change);
    try {
      return await change;
    } finally {
      this.#underWay.delete(change);
    }
  }

  /** Refuses what comes from now on, and resolves when what is under way is over, however it ends. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await Promise.allSettled(this.#underWay);
  }
}
