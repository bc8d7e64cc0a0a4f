/** Time as a dependency. Wall times are Unix milliseconds; monotonic times only serve for differences. */
export interface Clock {
  /** Unix milliseconds. */
  now(): number;
  /** Milliseconds that never go backwards. */
  monotonicMs(): number;
}

/** The machine's own clock. */
export const systemClock: Clock = {
  now: () => Date.now(),
  monotonicMs: () => performance.now(),
};
