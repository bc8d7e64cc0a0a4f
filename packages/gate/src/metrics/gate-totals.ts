import { addTotals, NO_TOTALS, type WorkerTotals } from "./worker-totals.ts";

/** The totals of all workers, those that have ended included: what was counted is never counted down. */
export class GateTotals {
  readonly #living = new Map<object, WorkerTotals>();
  #ended = NO_TOTALS;

  /** Takes what a worker has counted so far. */
  take(worker: object, totals: WorkerTotals): void {
    this.#living.set(worker, totals);
  }

  /** The worker is gone, and its connections with it. */
  end(worker: object): void {
    const last = this.#living.get(worker);
    if (last === undefined) return;
    this.#living.delete(worker);
    this.#ended = addTotals(this.#ended, { ...last, connections: 0 });
  }

  sum(): WorkerTotals {
    return [...this.#living.values()].reduce(addTotals, this.#ended);
  }
}
