/** Runs and commands that are being started: whoever was told to end one waits until it can be found. */
export class Starts {
  readonly #underWay = new Map<string, Promise<unknown>>();

  async run<T>(id: string, start: Promise<T>): Promise<T> {
    this.#underWay.set(id, start);
    try {
      return await start;
    } finally {
      if (this.#underWay.get(id) === start) this.#underWay.delete(id);
    }
  }

  /** Returns when it has started or failed to; at once where nothing of that id is being started. */
  async settled(id: string): Promise<void> {
    const start = this.#underWay.get(id);
    if (start !== undefined) await Promise.allSettled([start]);
  }
}
