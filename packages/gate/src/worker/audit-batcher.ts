import { type AuditEvent, type Clock, encodeUnnumbered, Problem } from "@gatehouse/core";

const MAX_BATCH = 256;
const MAX_WAIT_MS = 25;
/** Groups that are with the key-holder and not on record yet. */
const MAX_UNDER_WAY = 64;
/** Entries that wait while the key-holder is slow; beyond, requests are refused. */
const MAX_WAITING = 65_536;
/** While an older entry is not on record, whatever holds it up, requests are refused. */
const MAX_UNRECORDED_MS = 2_000;

export interface AuditBatcherOptions {
  /** Id of the log that the entries are for. */
  readonly node: string;
  /** Whether the key-holder takes entries at the start. */
  readonly isTaken: boolean;
  readonly clock: Pick<Clock, "monotonicMs">;
  /** Gets two lines for each entry: its text before the number, and behind. Resolves when they are on record. */
  readonly send: (lines: string) => Promise<unknown>;
  /** Told why entries were not taken that should have been: a bug. */
  readonly onFault: (thrown: unknown) => void;
}

/**
 * Writes audit entries down as they happen and hands them to the key-holder in groups, a moment later at most. Nothing
 * is dropped: what is not taken waits, and while there is no room, or what happened two seconds ago is not on record, no
 * request is begun that would need an entry.
 */
export class AuditBatcher implements Disposable {
  readonly #options: AuditBatcherOptions;
  #waiting: string[] = [];
  /** When the first of those that wait happened. */
  #waitingSinceMs = 0;
  /** The groups that are not on record yet, the oldest first. */
  readonly #underWay = new Set<{ readonly sinceMs: number }>();
  #isTaken: boolean;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: AuditBatcherOptions) {
    this.#options = options;
    this.#isTaken = options.isTaken;
  }

  /** Whether what happens now can be put on record. */
  get hasRoom(): boolean {
    return this.#isTaken && this.#waiting.length < MAX_WAITING && this.#unrecordedMs <= MAX_UNRECORDED_MS;
  }

  /** How long ago that happened which is not on record. */
  get #unrecordedMs(): number {
    const [oldest] = this.#underWay;
    if (oldest === undefined && this.#waiting.length === 0) return 0;
    return this.#options.clock.monotonicMs() - (oldest?.sinceMs ?? this.#waitingSinceMs);
  }

  /** The key-holder says whether its log can be written. */
  setTaken(isTaken: boolean): void {
    this.#isTaken = isTaken;
  }

  add(event: AuditEvent): void {
    const { before, after } = encodeUnnumbered(event, { org: null, node: this.#options.node });
    if (this.#waiting.length === 0) this.#waitingSinceMs = this.#options.clock.monotonicMs();
    this.#waiting.push(`${before}\n${after}\n`);
    if (this.#waiting.length === MAX_BATCH) this.#handOver(MAX_UNDER_WAY);
    else this.#expectHandOver();
  }

  /** Hands over all that waits: the worker is about to end. */
  flush(): void {
    this.#handOver(Number.POSITIVE_INFINITY);
  }

  #expectHandOver(): void {
    this.#timer ??= setTimeout(() => this.#handOver(MAX_UNDER_WAY), MAX_WAIT_MS);
  }

  #handOver(maxUnderWay: number): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    let sent = 0;
    for (; sent < this.#waiting.length && this.#underWay.size < maxUnderWay; sent += MAX_BATCH) {
      void this.#hand(this.#waiting.slice(sent, sent + MAX_BATCH));
    }
    this.#waiting = this.#waiting.slice(sent);
    if (this.#waiting.length > 0) this.#expectHandOver();
  }

  async #hand(entries: readonly string[]): Promise<void> {
    const group = { sinceMs: this.#waitingSinceMs };
    this.#underWay.add(group);
    try {
      await this.#options.send(entries.join(""));
      this.#underWay.delete(group);
    } catch (failure) {
      // It stays under way, so that requests are refused: nobody knows whether it is on record.
      if (!(failure instanceof Problem && failure.code === "process.gone")) this.#options.onFault(failure);
    }
  }

  [Symbol.dispose](): void {
    this.flush();
  }
}
