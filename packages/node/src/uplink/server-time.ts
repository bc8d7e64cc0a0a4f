import type { Clock } from "@gatehouse/core";

/** The server's time, carried on by the monotonic clock: how wrong this host's wall clock is does not matter. */
export class ServerTime {
  readonly #clock: Pick<Clock, "monotonicMs">;
  #offsetMs: number | undefined;

  constructor(clock: Pick<Clock, "monotonicMs">) {
    this.#clock = clock;
  }

  observe(serverTimeMs: number): void {
    this.#offsetMs = serverTimeMs - this.#clock.monotonicMs();
  }

  /** Unix milliseconds. A bug before the server said once what time it is. */
  now(): number {
    if (this.#offsetMs === undefined) throw new Error("the server's time is not known yet");
    return this.#offsetMs + this.#clock.monotonicMs();
  }
}
