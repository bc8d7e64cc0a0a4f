import { RequestCounter, type WorkerTotals } from "../metrics/worker-totals.ts";
import type { RequestRecord } from "../snapshot/worker-protocol.ts";
import type { RecordBatcher } from "./record-batcher.ts";

const TELL_EVERY_MS = 1_000;

/** Records on their way to the key-holder, counted as they pass; the counts follow once a second. */
export class CountedRecords implements Disposable {
  readonly #batcher: RecordBatcher;
  readonly #counter = new RequestCounter();
  readonly #tell: () => void;
  readonly #timer: NodeJS.Timeout;

  constructor(
    batcher: RecordBatcher,
    deps: { readonly sendTotals: (totals: WorkerTotals) => void; readonly connections: () => number },
  ) {
    this.#batcher = batcher;
    this.#tell = () => deps.sendTotals(this.#counter.totals(deps.connections()));
    this.#timer = setInterval(this.#tell, TELL_EVERY_MS);
  }

  get hasRoom(): boolean {
    return this.#batcher.hasRoom;
  }

  add(record: RequestRecord): void {
    this.#counter.count(record);
    this.#batcher.add(record);
  }

  flush(): void {
    this.#batcher.flush();
    this.#tell();
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
    this.#tell();
  }
}
