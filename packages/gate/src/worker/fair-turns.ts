import type { Clock } from "@gatehouse/core";

/** How long work may go on before whatever else waits in the process is looked after. */
const PASS_MS = 1;

/**
 * Work that goes on for as long as something comes, a small piece of it at a time. Runs take turns, and so does what a
 * run has under way; between two passes the event loop serves everything else. So whoever has work without end takes
 * what time is left, and not that of others.
 */
export class FairTurns {
  readonly #clock: Pick<Clock, "monotonicMs">;
  /** By run, whose turn is next first. */
  readonly #waiting = new Map<string, (() => void)[]>();
  #isPassing = false;

  constructor(clock: Pick<Clock, "monotonicMs">) {
    this.#clock = clock;
  }

  /** Calls `act` once, when it is the run's turn. It must not throw, and asks again where it has more to do. */
  ask(runId: string, act: () => void): void {
    const acts = this.#waiting.get(runId);
    if (acts === undefined) this.#waiting.set(runId, [act]);
    else acts.push(act);
    if (this.#isPassing) return;
    this.#isPassing = true;
    setImmediate(this.#pass);
  }

  readonly #pass = (): void => {
    const startedMs = this.#clock.monotonicMs();
    do this.#takeTurn();
    while (this.#waiting.size > 0 && this.#clock.monotonicMs() - startedMs < PASS_MS);
    this.#isPassing = this.#waiting.size > 0;
    if (this.#isPassing) setImmediate(this.#pass);
  };

  #takeTurn(): void {
    const [next] = this.#waiting;
    if (next === undefined) return;
    const [runId, acts] = next;
    const act = acts.shift();
    // Behind the other runs.
    this.#waiting.delete(runId);
    if (acts.length > 0) this.#waiting.set(runId, acts);
    act?.();
  }
}
