import { type AuditEvent, encodeUnnumbered } from "@gatehouse/core";

const MAX_BATCH = 256;
const MAX_WAIT_MS = 25;
/** Entries that wait while the key-holder is slow; beyond, requests are refused. */
const MAX_WAITING = 65_536;

export interface AuditBatcherOptions {
  /** Id of the log that the entries are for. */
  readonly node: string;
  /** Whether the key-holder takes entries at the start. */
  readonly isTaken: boolean;
  /** Gets two lines for each entry: its text before the number, and behind. False when they could not be handed over. */
  readonly send: (lines: string) => boolean;
}

/**
 * Writes audit entries down as they happen and hands them to the key-holder in groups, a moment later at most. Nothing
 * is dropped: what is not taken waits, and while there is no room no request is begun that would need an entry.
 */
export class AuditBatcher implements Disposable {
  readonly #options: AuditBatcherOptions;
  #waiting: string[] = [];
  #isTaken: boolean;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: AuditBatcherOptions) {
    this.#options = options;
    this.#isTaken = options.isTaken;
  }

  /** Whether what happens now can be put on record. */
  get hasRoom(): boolean {
    return this.#isTaken && this.#waiting.length < MAX_WAITING;
  }

  /** The key-holder says whether its log can be written. */
  setTaken(isTaken: boolean): void {
    this.#isTaken = isTaken;
  }

  add(event: AuditEvent): void {
    const { before, after } = encodeUnnumbered(event, { org: null, node: this.#options.node });
    this.#waiting.push(`${before}\n${after}\n`);
    if (this.#waiting.length === MAX_BATCH) this.flush();
    else this.#timer ??= setTimeout(() => this.flush(), MAX_WAIT_MS);
  }

  /** Hands over what waits, as far as it is taken. */
  flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    let sent = 0;
    while (sent < this.#waiting.length && this.#options.send(this.#waiting.slice(sent, sent + MAX_BATCH).join(""))) {
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
