import { type Clock, Problem } from "@gatehouse/core";

interface Bucket {
  failures: number;
  at: number;
}

export interface BudgetOptions {
  /** Failures in a row before whoever fails must wait. */
  readonly burst: number;
  /** How long until one of them is forgiven. */
  readonly forgiveEveryMs: number;
}

/** Callers that are remembered at once; the longest silent go first. */
const MAX_BUCKETS = 10_000;

/** Counts failures by account or address. What succeeds costs nothing. Each replica counts for itself. */
export class FailureBudget {
  readonly #buckets = new Map<string, Bucket>();
  readonly #options: BudgetOptions;
  readonly #clock: Clock;

  constructor(options: BudgetOptions, clock: Clock) {
    this.#options = options;
    this.#clock = clock;
  }

  /** Fails with `auth.slow_down` when nothing is left. */
  check(who: string): void {
    if (this.#current(who) > this.#options.burst - 1) throw new Problem("auth.slow_down");
  }

  spend(who: string): void {
    const failures = this.#current(who) + 1;
    this.#buckets.delete(who);
    if (this.#buckets.size >= MAX_BUCKETS) this.#buckets.delete(this.#buckets.keys().next().value ?? "");
    this.#buckets.set(who, { failures, at: this.#clock.now() });
  }

  /** Takes back what was spent on something that succeeded. */
  forgive(who: string): void {
    const bucket = this.#buckets.get(who);
    if (bucket !== undefined) bucket.failures = Math.max(0, bucket.failures - 1);
  }

  #current(who: string): number {
    const bucket = this.#buckets.get(who);
    if (bucket === undefined) return 0;
    const forgiven = Math.max(0, this.#clock.now() - bucket.at) / this.#options.forgiveEveryMs;
    return Math.max(0, bucket.failures - forgiven);
  }
}
