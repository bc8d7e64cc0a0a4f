/** Runs and commands that are being started: whoever was told to end one waits until it can be found. */
export class Starts {
  /** By id. Two of one id may be under way, until one of them is refused. */
  readonly #underWay = new Map<string, Set<Promise<unknown>>>();

  async run<T>(id: string, start: Promise<T>): Promise<T> {
    const starts = this.#underWay.get(id) ?? new Set();
    this.#underWay.set(id, starts.add(start));
    try {
      return await start;
    } finally {
      starts.delete(start);
      if (starts.size === 0) this.#underWay.delete(id);
    }
  }

  /** Returns when all of that id have started or failed to; at once where nothing of it is being started. */
  async settled(id: string): Promise<void> {
    await Promise.allSettled([...(this.#underWay.get(id) ?? [])]);
  }
}
