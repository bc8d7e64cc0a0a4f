import { setTimeout as delay } from "node:timers/promises";

const FIRST_MS = 1_000;
const LONGEST_MS = 30_000;

/**
 * One turn for each attempt; its function waits before the next: from one second doubling to thirty, with full jitter,
 * so that a fleet does not come back all at once. Ends when the signal aborts.
 */
export async function* retryDelays(signal: AbortSignal): AsyncGenerator<() => Promise<void>> {
  for (let boundMs = FIRST_MS; !signal.aborted; boundMs = Math.min(boundMs * 2, LONGEST_MS)) {
    const limitMs = boundMs;
    yield () => delay(Math.random() * limitMs, undefined, { signal });
  }
}
