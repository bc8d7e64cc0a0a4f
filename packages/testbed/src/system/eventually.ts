import { setTimeout as delay } from "node:timers/promises";

export interface EventuallyOptions {
  /** Default 10,000. */
  readonly timeoutMs?: number;
  /** Default 20. */
  readonly everyMs?: number;
}

/**
 * Asks again and again until the answer is neither `undefined` nor `false`, and returns it. Fails after the deadline,
 * naming what was waited for. What `probe` throws leaves at once.
 */
export async function eventually<T>(
  what: string | (() => string),
  probe: () => T | undefined | false | Promise<T | undefined | false>,
  { timeoutMs = 10_000, everyMs = 20 }: EventuallyOptions = {},
): Promise<T> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    const answer = await probe();
    if (answer !== undefined && answer !== false) return answer;
    if (performance.now() > deadline) {
      throw new Error(`waited ${timeoutMs} ms in vain for: ${typeof what === "string" ? what : what()}`);
    }
    await delay(everyMs);
  }
}
