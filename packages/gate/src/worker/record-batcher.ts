import type { RequestRecord } from "../snapshot/worker-protocol.ts";

const MAX_BATCH = 256;
const MAX_WAIT_MS = 50;
/** Records that wait while the key-holder is slow; beyond, requests are refused rather than go unrecorded. */
const MAX_WAITING = 65_536;

/** Collects records off the request path and hands them over in groups. */
export class RecordBatcher implements Disposable {
  readonly #send: (records: readonly RequestRecord[]) => boolean;
  #waiting: RequestRecord[] = [];
  #timer: NodeJS.Timeout | undefined;

  /** `send` returns false when the records could not be handed over now. */
  constructor(send: (records: readonly RequestRecord[]) => boolean) {
    this.#send = send;
  }

  /** Whether there is room to record another request. */
  get hasRoom(): boolean {
    return this.#waiting.length < MAX_WAITING;
  }

  add(record: RequestRecord): void {
    this.#waiting.push(record);
    if (this.#waiting.length >= MAX_BATCH) this.flush();
    else this.#timer ??= setTimeout(() => this.flush(), MAX_WAIT_MS);
  }

  flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#waiting.length === 0) return;
    const batch = this.#waiting;
    if (this.#send(batch)) this.#waiting = [];
    else this.#timer = setTimeout(() => this.flush(), MAX_WAIT_MS);
  }

  [Symbol.dispose](): void {
    this.flush();
    clearTimeout(this.#timer);
  }
}
