import { uptime } from "node:os";

/** Whether the organisation's credentials may be used now. */
export interface Freshness {
  isFresh(): boolean;
}

/** Where there is no server to hear of. */
export const ALWAYS_FRESH: Freshness = { isFresh: () => true };

/** Fresh until a time since boot, which goes on while the machine is suspended. Before it is first set, stale. */
export class FreshUntil implements Freshness {
  #untilSeconds = 0;

  set(untilSeconds: number): void {
    this.#untilSeconds = untilSeconds;
  }

  isFresh(): boolean {
    return uptime() < this.#untilSeconds;
  }
}
