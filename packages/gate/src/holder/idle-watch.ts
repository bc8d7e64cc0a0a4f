import type { Clock } from "@gatehouse/core";

export interface IdleWatchOptions {
  readonly clock: Clock;
  readonly idleMs: number;
  /** Whether anything is registered. */
  readonly isEmpty: () => boolean;
  /** Called once for each time that nothing was registered, and nobody called for a change, for so long. */
  readonly onEmpty: () => void;
}

/** Notices that the gate is of no use to anybody any more: no run for `idleMs`, and nobody
 * who asked for a change over the local API. */
export class IdleWatch {
  readonly #options: IdleWatchOptions;
  #sinceMs: number;
  #isTold = false;

  constructor(options: IdleWatchOptions) {
    this.#options = options;
    this.#sinceMs = options.clock.monotonicMs();
  }

  /** Somebody called for a change: whoever is about to register a run must not find the gate going. */
  touch(): void {
    this.#sinceMs = this.#options.clock.monotonicMs();
    this.#isTold = false;
  }

  /** To be called again and again; a moment between two calls is what the notice may be late by. */
  check(): void {
    const { clock, idleMs, isEmpty, onEmpty } = this.#options;
    if (!isEmpty()) this.touch();
    else if (!this.#isTold && clock.monotonicMs() - this.#sinceMs >= idleMs) {
      this.#isTold = true;
      onEmpty();
    }
  }
}
