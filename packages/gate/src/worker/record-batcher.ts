import type { RequestRecord } from "../snapshot/worker-protocol.ts";

const MAX_BATCH = 256;
const MAX_WAIT_MS = 50;
/** Records that wait while the key-holder is slow; beyond, requests are refused rather than go unrecorded. */
const MAX_WAITING = 65_536;
/** Room for the requests that were under way when the bound was reached. */
const RESERVE = 4_096;

/** Collects records off the request path, as lines of JSON, and hands them over in groups. */
export class RecordBatcher implements Disposable {
  readonly #send: (lines: Uint8Array) => boolean;
  #waiting: string[] = [];
  #timer: NodeJS.Timeout | undefined;

  /** `send` gets whole lines and returns false when they could not be handed over now. */
  constructor(send: (lines: Uint8Array) => boolean) {
    this.#send = send;
  }

  /** Whether there is room to record another request. */
  get hasRoom(): boolean {
    return this.#waiting.length < MAX_WAITING;
  }

  /** What comes when even the reserve is used up are refusals for want of room: these are dropped. */
  add(record: RequestRecord): void {
    if (this.#waiting.length >= MAX_WAITING + RESERVE) return;
    this.#waiting.push(JSON.stringify(record));
    if (this.#waiting.length === MAX_BATCH) this.flush();
    else this.#timer ??= setTimeout(() => this.flush(), MAX_WAIT_MS);
  }

  /** Hands over what waits, as far as it is taken. */
  flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    let sent = 0;
    while (sent < this.#waiting.length && this.#send(linesOf(this.#waiting.slice(sent, sent + MAX_BATCH)))) {
      sent += MAX_BATCH;
    }
    this.#waiting = this.#waiting.slice(sent);
    if (this.#waiting.length > 0) this.#timer = setTimeout(() => this.flush(), MAX_WAIT_MS);
  }

  [Symbol.dispose](): void {
    this.flush();
    clearTimeout(this.#timer);
  }
}

function linesOf(records: readonly string[]): Uint8Array {
  return Buffer.from(`${records.join("\n")}\n`);
}
