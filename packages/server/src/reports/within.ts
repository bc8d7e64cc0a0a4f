import { Problem } from "@gatehouse/core";
import { SlowDownProblem } from "../limits/slow-down-problem.ts";
import { RETRY_UPLOAD_MS } from "./upload-limits.ts";

/**
 * What a stream carries, as long as it ends in time. Fails with `uploads.too_much` when it does not, with `server.busy`
 * once the signal aborts: its place is another's.
 */
export async function* within<T>(messages: AsyncIterable<T>, limitMs: number, signal?: AbortSignal): AsyncGenerator<T> {
  const late = Promise.withResolvers<never>();
  // Nobody waits for it any more once the stream has ended.
  late.promise.catch(() => undefined);
  const slow = new Problem("uploads.too_much", { detail: "It takes too long." });
  const timer = setTimeout(() => late.reject(slow), limitMs);
  const giveUp = () => late.reject(new SlowDownProblem("server.busy", RETRY_UPLOAD_MS));
  signal?.addEventListener("abort", giveUp);
  const iterator = messages[Symbol.asyncIterator]();
  try {
    for (;;) {
      const next = await Promise.race([iterator.next(), late.promise]);
      if (next.done) return;
      yield next.value;
    }
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", giveUp);
    // A sender that is still waited for is let go of; nobody waits until it has noticed.
    void iterator.return?.()?.catch(() => undefined);
  }
}
