import type { Clock } from "@gatehouse/core";
import { LeakyBuckets } from "./leaky-buckets.ts";
import { SlowDownProblem } from "./slow-down-problem.ts";

export interface BudgetOptions {
  /** Failures in a row before whoever fails must wait. */
  readonly burst: number;
  /** How long until one of them is forgiven. */
  readonly forgiveEveryMs: number;
}

/**
 * Counts failures by whatever names a caller, a network or an account: who guesses is slowed down, who succeeds costs
 * nothing. Each replica counts for itself: at several, a caller has as many times the budget.
 */
export class FailureBudget {
  readonly #options: BudgetOptions;
  readonly #spent: LeakyBuckets;

  constructor(options: BudgetOptions, clock: Pick<Clock, "monotonicMs">) {
    this.#options = options;
    this.#spent = new LeakyBuckets(1 / options.forgiveEveryMs, clock);
  }

  /** Fails with `auth.slow_down` when nothing is left. */
  check(who: string): void {
    const { burst, forgiveEveryMs } = this.#options;
    const over = this.#spent.level(who) - (burst - 1);
    if (over > 0) throw new SlowDownProblem("auth.slow_down", Math.ceil(over * forgiveEveryMs));
  }

  spend(who: string): void {
    this.#spent.fill(who, 1, 2 * this.#options.burst);
  }

  /** Takes back what was spent on something that succeeded. */
  forgive(who: string): void {
    this.#spent.draw(who, 1);
  }
}
