import { Problem } from "@gatehouse/core";
import { networkOf } from "./network-of.ts";

/** What one address may fail at once, and how fast it is forgiven. */
const BURST = 50;
const FORGIVEN_PER_SECOND = 10;
/** Addresses that are remembered; the one that failed longest ago is forgotten first. */
const MAX_ADDRESSES = 65_536;

/** A refusal for a time. */
export class SlowDownProblem extends Problem {
  readonly retryAfterMs: number;

  constructor(code: "auth.slow_down" | "server.busy", retryAfterMs: number) {
    super(code);
    this.retryAfterMs = retryAfterMs;
  }
}

/** Counts failures by address: who guesses is slowed down, who succeeds costs nothing. */
export class FailureBudget {
  readonly #nowMs: () => number;
  /** Failures not yet forgiven, as of a moment. */
  readonly #failures = new Map<string, { readonly count: number; readonly atMs: number }>();

  /** `nowMs` is monotonic. */
  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  /** Fails with `auth.slow_down` when the address has failed too often of late. */
  check(address: string): void {
    const over = this.#count(networkOf(address)) - (BURST - 1);
    if (over > 0) throw new SlowDownProblem("auth.slow_down", Math.ceil((over * 1_000) / FORGIVEN_PER_SECOND));
  }

  fail(address: string): void {
    const network = networkOf(address);
    const count = Math.min(this.#count(network) + 1, 2 * BURST);
    this.#failures.delete(network);
    this.#failures.set(network, { count, atMs: this.#nowMs() });
    if (this.#failures.size > MAX_ADDRESSES) this.#failures.delete(this.#failures.keys().next().value ?? "");
  }

  #count(network: string): number {
    const known = this.#failures.get(network);
    if (known === undefined) return 0;
    return Math.max(0, known.count - ((this.#nowMs() - known.atMs) * FORGIVEN_PER_SECOND) / 1_000);
  }
}
