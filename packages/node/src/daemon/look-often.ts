import { setTimeout as delay } from "node:timers/promises";
import type { Log } from "@gatehouse/kit";

export interface LookOptions {
  readonly look: () => Promise<void>;
  readonly everyMs: number;
  readonly log: Pick<Log, "error" | "info">;
}

/** Looks again and again until the signal aborts. One that fails, for a full disk say, is tried again with the next. */
export async function lookOften({ look, everyMs, log }: LookOptions, signal: AbortSignal): Promise<void> {
  let isFailing = false;
  while (!signal.aborted) {
    await delay(everyMs, undefined, { signal });
    try {
      await look();
      if (isFailing) log.info("runs are looked after again");
      isFailing = false;
    } catch (failure) {
      if (!isFailing && !signal.aborted) log.error("runs cannot be looked after now", { failure });
      isFailing = true;
    }
  }
}
