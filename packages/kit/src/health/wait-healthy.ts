import { setTimeout as delay } from "node:timers/promises";
import { Problem } from "@gatehouse/core";

export interface WaitHealthyOptions {
  /** True when healthy. What it throws counts as not yet. */
  readonly probe: (signal: AbortSignal) => Promise<boolean>;
  readonly timeoutMs: number;
  /** Default 50. */
  readonly intervalMs?: number;
  /** Rejects with its reason when it aborts: the process that is waited for has died, or nobody waits any more. */
  readonly signal?: AbortSignal;
}

const DEFAULT_INTERVAL_MS = 50;

/** Asks again and again until the answer is yes. Fails with `daemon.timeout`, the last failure as its cause. */
export async function waitHealthy(options: WaitHealthyOptions): Promise<void> {
  const { signal } = options;
  const deadline = AbortSignal.timeout(options.timeoutMs);
  let lastFailure: unknown;
  while (!deadline.aborted) {
    signal?.throwIfAborted();
    try {
      if (await options.probe(deadline)) return;
    } catch (failure) {
      lastFailure = failure;
    }
    await delay(options.intervalMs ?? DEFAULT_INTERVAL_MS, undefined, signal === undefined ? {} : { signal }).catch(
      (failure: unknown) => {
        throw signal?.reason ?? failure;
      },
    );
  }
  throw new Problem("daemon.timeout", { cause: lastFailure });
}
