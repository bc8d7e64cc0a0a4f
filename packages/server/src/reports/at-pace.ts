import { Problem } from "@gatehouse/core";

export interface Pace<T> {
  /** So much comes in so much time that its sender is waited for, or the end. */
  readonly bytes: number;
  readonly everyMs: number;
  readonly sizeOf: (message: T) => number;
}

/** What a stream carries, as long as it comes at some pace. Fails with `uploads.too_much` when it drips. */
export async function* atPace<T>(messages: AsyncIterable<T>, { bytes, everyMs, sizeOf }: Pace<T>): AsyncGenerator<T> {
  const iterator = messages[Symbol.asyncIterator]();
  let [got, waitedMs] = [0, 0];
  try {
    for (;;) {
      const since = performance.now();
      const next = await before(iterator.next(), everyMs - waitedMs);
      if (next.done) return;
      waitedMs += performance.now() - since;
      got += sizeOf(next.value);
      if (got >= bytes) [got, waitedMs] = [0, 0];
      yield next.value;
    }
  } finally {
    // A sender that is still waited for is let go of; nobody waits until it has noticed.
    void iterator.return?.()?.catch(() => undefined);
  }
}

async function before<T>(next: Promise<T>, limitMs: number): Promise<T> {
  const late = Promise.withResolvers<never>();
  const slow = new Problem("uploads.too_much", { detail: "It comes too slowly." });
  const timer = setTimeout(() => late.reject(slow), limitMs);
  try {
    return await Promise.race([next, late.promise]);
  } finally {
    clearTimeout(timer);
  }
}
