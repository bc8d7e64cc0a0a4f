import { SlowDownProblem } from "./slow-down-problem.ts";

export interface StreamLimits {
  /** Streams that are open at once. */
  readonly total: number;
  /** Of these, by one network. */
  readonly ofNetwork: number;
}

const RETRY_AFTER_MS = 5_000;

/** Places of streams whose callers are not known: no network takes those of all others. */
export class StreamPlaces {
  readonly #limits: StreamLimits;
  readonly #taken = new Map<string, number>();
  #total = 0;

  constructor(limits: StreamLimits) {
    this.#limits = limits;
  }

  /** A place, until what it answers is called, once. Fails with `server.busy`. */
  take(network: string): () => void {
    const own = this.#taken.get(network) ?? 0;
    if (this.#total >= this.#limits.total || own >= this.#limits.ofNetwork) {
      throw new SlowDownProblem("server.busy", RETRY_AFTER_MS);
    }
    this.#total += 1;
    this.#taken.set(network, own + 1);
    return () => this.#free(network);
  }

  #free(network: string): void {
    this.#total -= 1;
    const left = (this.#taken.get(network) ?? 1) - 1;
    if (left === 0) this.#taken.delete(network);
    else this.#taken.set(network, left);
  }
}
