interface Wait {
  readonly outlastsFaults: boolean;
  /** It is in no hurry: nothing is written earlier for it. */
  readonly isPatient?: boolean;
}

interface Waiter extends PromiseWithResolvers<void>, Wait {
  readonly size: number;
}

/** Who waits until a log has a size. */
export class LogWaiters {
  #waiters: Waiter[] = [];

  /** Whether somebody waits in a hurry. */
  get areUrgent(): boolean {
    return this.#waiters.some(({ isPatient }) => isPatient !== true);
  }

  /** Resolves when the log has `size`. Fails at the next fault, or, where it outlasts faults, with the log's end. */
  wait(size: number, how: Wait): Promise<void> {
    const waiter = { ...Promise.withResolvers<void>(), ...how, size };
    this.#waiters.push(waiter);
    return waiter.promise;
  }

  /** The log has this size. */
  reach(reached: number): void {
    for (const { size, resolve } of this.#waiters) if (size <= reached) resolve();
    this.#waiters = this.#waiters.filter(({ size }) => size > reached);
  }

  fail(failure: unknown): void {
    for (const { outlastsFaults, reject } of this.#waiters) if (!outlastsFaults) reject(failure);
    this.#waiters = this.#waiters.filter(({ outlastsFaults }) => outlastsFaults);
  }

  end(failure: unknown): void {
    for (const { reject } of this.#waiters.splice(0)) reject(failure);
  }
}
