import type { Clock } from "@gatehouse/core";
import { SlowDownProblem } from "./slow-down-problem.ts";

export interface BudgetOptions {
  /** Failures in a row before whoever fails must wait. */
  readonly burst: number;
  /** How long until one of them is forgiven. */
  readonly forgiveEveryMs: number;
}

interface Spent {
  /** Failures not yet forgiven, as of a moment. */
  readonly count: number;
  readonly atMs: number;
}

/** Callers that are remembered at once; the one that failed longest ago is forgotten first. */
const MAX_CALLERS = 65_536;

/**
 * Counts failures by whatever names a caller, a network or an account: who guesses is slowed down, who succeeds costs
 * nothing. Each replica counts for itself: at several, a caller has as many times the budget.
 */
export class FailureBudget {
  readonly #options: BudgetOptions;
  readonly #clock: Pick<Clock, "monotonicMs">;
  readonly #spent = new Map<string, Spent>();

  constructor(options: BudgetOptions, clock: Pick<Clock, "monotonicMs">) {
    this.#options = options;
    this.#clock = clock;
  }

  /** Fails with `auth.slow_down` when nothing is left. */
  check(who: string): void {
    const { burst, forgiveEveryMs } = this.#options;
    const over = this.#count(who) - (burst - 1);
    if (over > 0) throw new SlowDownProblem("auth.slow_down", Math.ceil(over * forgiveEveryMs));
  }

  spend(who: string): void {
    const count = Math.min(this.#count(who) + 1, 2 * this.#options.burst);
    this.#spent.delete(who);
    this.#spent.set(who, { count, atMs: this.#clock.monotonicMs() });
    if (this.#spent.size > MAX_CALLERS) this.#spent.delete(this.#spent.keys().next().value ?? "");
  }

  /** Takes back what was spent on something that succeeded. */
  forgive(who: string): void {
    const spent = this.#spent.get(who);
    if (spent !== undefined) this.#spent.set(who, { ...spent, count: Math.max(0, spent.count - 1) });
  }

  #count(who: string): number {
    const spent = this.#spent.get(who);
    if (spent === undefined) return 0;
    return Math.max(0, spent.count - (this.#clock.monotonicMs() - spent.atMs) / this.#options.forgiveEveryMs);
  }
}
