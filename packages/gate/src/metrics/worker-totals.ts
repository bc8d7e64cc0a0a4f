/** Upper bounds of the buckets of durations, in milliseconds; the last bucket has none. */
export const DURATION_BOUNDS_MS = [1, 5, 10, 50, 100, 500, 1_000, 5_000, 10_000, 60_000] as const;

/** What one worker, or several together, have counted since they started. */
export interface WorkerTotals {
  readonly decisions: Readonly<Record<"allowed" | "denied" | "failed", number>>;
  /** By problem code. */
  readonly refusals: Readonly<Record<string, number>>;
  /** By the first digit of the answer's status; at 0 those without one. */
  readonly answers: readonly number[];
  readonly bytesIn: number;
  readonly bytesOut: number;
  /** One more than there are bounds. */
  readonly durations: readonly number[];
  readonly durationMs: number;
  /** Open now. */
  readonly connections: number;
}

/** What is counted of the record of a request. */
interface Counted {
  readonly decision: keyof WorkerTotals["decisions"];
  readonly code: string | undefined;
  readonly status: number;
  readonly bytes_in: number;
  readonly bytes_out: number;
  readonly duration_ms: number;
}

const STATUS_CLASSES = 6;

export const NO_TOTALS: WorkerTotals = {
  decisions: { allowed: 0, denied: 0, failed: 0 },
  refusals: {},
  answers: new Array<number>(STATUS_CLASSES).fill(0),
  bytesIn: 0,
  bytesOut: 0,
  durations: new Array<number>(DURATION_BOUNDS_MS.length + 1).fill(0),
  durationMs: 0,
  connections: 0,
};

/** Both together. */
export function addTotals(one: WorkerTotals, other: WorkerTotals): WorkerTotals {
  const refusals = { ...one.refusals };
  for (const [code, count] of Object.entries(other.refusals)) refusals[code] = (refusals[code] ?? 0) + count;
  return {
    decisions: {
      allowed: one.decisions.allowed + other.decisions.allowed,
      denied: one.decisions.denied + other.decisions.denied,
      failed: one.decisions.failed + other.decisions.failed,
    },
    refusals,
    answers: one.answers.map((count, at) => count + (other.answers[at] ?? 0)),
    bytesIn: one.bytesIn + other.bytesIn,
    bytesOut: one.bytesOut + other.bytesOut,
    durations: one.durations.map((count, at) => count + (other.durations[at] ?? 0)),
    durationMs: one.durationMs + other.durationMs,
    connections: one.connections + other.connections,
  };
}

/** Counts in the worker: a few additions for each request, no promise and no timer. */
export class RequestCounter {
  readonly #decisions = { ...NO_TOTALS.decisions };
  readonly #refusals: Record<string, number> = {};
  readonly #answers = [...NO_TOTALS.answers];
  readonly #durations = [...NO_TOTALS.durations];
  #bytesIn = 0;
  #bytesOut = 0;
  #durationMs = 0;

  count({ decision, code, status, bytes_in, bytes_out, duration_ms }: Counted): void {
    this.#decisions[decision] += 1;
    if (code !== undefined) this.#refusals[code] = (this.#refusals[code] ?? 0) + 1;
    const digit = Math.floor(status / 100);
    this.#answers[digit] = (this.#answers[digit] ?? 0) + 1;
    this.#bytesIn += bytes_in;
    this.#bytesOut += bytes_out;
    this.#durationMs += duration_ms;
    let bucket = 0;
    while (bucket < DURATION_BOUNDS_MS.length && duration_ms > (DURATION_BOUNDS_MS[bucket] ?? 0)) bucket += 1;
    this.#durations[bucket] = (this.#durations[bucket] ?? 0) + 1;
  }

  totals(connections: number): WorkerTotals {
    return {
      decisions: { ...this.#decisions },
      refusals: { ...this.#refusals },
      answers: [...this.#answers],
      bytesIn: this.#bytesIn,
      bytesOut: this.#bytesOut,
      durations: [...this.#durations],
      durationMs: this.#durationMs,
      connections,
    };
  }
}
