/** What so many closed connections leave is worth the search for it. */
const WORTH_RETURNING = 256;
/** While more than so many close between two sweeps, their memory is about to be used again. */
const SETTLED = 64;
const LONGEST_MS = 30_000;

/**
 * A TLS connection's memory is in the C library's heap, whose holes stay resident: a tunnel that gave its upstream half
 * back would cost as much as before. So they are returned to the system when many connections have closed and it has
 * become quiet, for the search holds everything up for some milliseconds.
 */
export class FreedMemory {
  readonly #giveBack: () => void;
  #closedBefore = 0;
  #closedWhenReturned = 0;
  #returnedMs = Number.NEGATIVE_INFINITY;

  constructor(giveBack: () => void) {
    this.#giveBack = giveBack;
  }

  /** `closed`: how many connections have closed since the start. */
  sweep(closed: number, nowMs: number): void {
    const isQuiet = closed - this.#closedBefore < SETTLED || nowMs - this.#returnedMs > LONGEST_MS;
    this.#closedBefore = closed;
    if (!isQuiet || closed - this.#closedWhenReturned < WORTH_RETURNING) return;
    this.#closedWhenReturned = closed;
    this.#returnedMs = nowMs;
    this.#giveBack();
  }
}
