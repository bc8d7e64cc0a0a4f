import { SlowDownProblem } from "./slow-down-problem.ts";

const RETRY_AFTER_MS = 2_000;

export interface AdmissionLimits {
  /** Calls that run at once. */
  readonly running: number;
  /** Calls that wait. */
  readonly waiting: number;
}

/**
 * Lets so many calls run at once; the others wait, those that finish something ahead of those that begin. What finds the
 * queue full is refused with `server.busy`.
 */
export class AdmissionQueue {
  readonly #limits: AdmissionLimits;
  readonly #first: (() => void)[] = [];
  readonly #others: (() => void)[] = [];
  #running = 0;

  constructor(limits: AdmissionLimits) {
    this.#limits = limits;
  }

  get running(): number {
    return this.#running;
  }

  get waiting(): number {
    return this.#first.length + this.#others.length;
  }

  async run<T>(isFirst: boolean, work: () => Promise<T>): Promise<T> {
    if (this.#running < this.#limits.running) this.#running += 1;
    else await this.#wait(isFirst);
    try {
      return await work();
    } finally {
      const next = this.#first.shift() ?? this.#others.shift();
      // Whoever is next takes the place over: the number that runs stays.
      if (next === undefined) this.#running -= 1;
      else next();
    }
  }

  #wait(isFirst: boolean): Promise<void> {
    if (this.waiting >= this.#limits.waiting) throw new SlowDownProblem("server.busy", RETRY_AFTER_MS);
    return new Promise((resolve) => void (isFirst ? this.#first : this.#others).push(resolve));
  }
}
