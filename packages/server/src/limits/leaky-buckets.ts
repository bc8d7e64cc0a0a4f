import type { Clock } from "@gatehouse/core";

interface Bucket {
  readonly level: number;
  readonly atMs: number;
}

/** Callers that are remembered at once; the one that was filled longest ago is forgotten first. */
const MAX_BUCKETS = 65_536;

/** How much of something whoever is named has had, less what time has made good since. */
export class LeakyBuckets {
  readonly #perMs: number;
  readonly #clock: Pick<Clock, "monotonicMs">;
  readonly #buckets = new Map<string, Bucket>();

  constructor(perMs: number, clock: Pick<Clock, "monotonicMs">) {
    this.#perMs = perMs;
    this.#clock = clock;
  }

  level(who: string): number {
    const bucket = this.#buckets.get(who);
    if (bucket === undefined) return 0;
    const passedMs = Math.max(0, this.#clock.monotonicMs() - bucket.atMs);
    return Math.max(0, bucket.level - passedMs * this.#perMs);
  }

  fill(who: string, amount: number, most = Number.POSITIVE_INFINITY): void {
    const level = Math.min(this.level(who) + amount, most);
    this.#buckets.delete(who);
    this.#buckets.set(who, { level, atMs: this.#clock.monotonicMs() });
    if (this.#buckets.size > MAX_BUCKETS) this.#buckets.delete(this.#buckets.keys().next().value ?? "");
  }

  /** Takes back what was filled in for nothing. */
  draw(who: string, amount: number): void {
    if (!this.#buckets.has(who)) return;
    this.#buckets.set(who, { level: Math.max(0, this.level(who) - amount), atMs: this.#clock.monotonicMs() });
  }
}
