import { type AuditState, LogWaiters } from "@gatehouse/kit";

/** Entries of workers as they crossed their channel, two lines each. */
export interface EntryGroup {
  readonly group: number;
  readonly lines: string;
}

/** What is left when the log comes back. */
export interface LeftEntries {
  /** Entries of the log before which nothing of `doubtful` stands. */
  readonly after: number;
  /** Was with the successor, which may have written it down to any line of it. */
  readonly doubtful: string;
  /** Was with nobody. */
  readonly sure: string;
}

/** A successor that needs longer is behind, as the disk would be. */
const BEHIND_MS = 1_000;
/** So many entries may wait before no more are asked for. Those of what has happened already are taken all the same. */
const MAX_WAITING = 65_536;
/** Of memory. */
const MAX_CHARACTERS = 64 * 1_048_576;
const MAX_GROUP = 4_096;

/**
 * Entries that a successor writes, which has the log. It gets them in groups, each when the one before it is durable,
 * and none is forgotten before: at most one group is in doubt when it goes.
 */
export class PassedEntries {
  /** Told when there may be a group to take. */
  onReady: () => void = () => undefined;
  readonly #onChange: (state: AuditState) => void;
  readonly #waiters = new LogWaiters();
  #batches: string[] = [];
  /** Counted from the hand-over on. */
  #added = 0;
  #durable = 0;
  /** Of all that waits. */
  #characters = 0;
  #sent: (EntryGroup & { readonly entries: number }) | undefined;
  #groups = 0;
  #size: number | undefined;
  #isWritten = true;
  #isBehind = false;
  #behindTimer: NodeJS.Timeout | undefined;
  #told = true;

  constructor(onChange: (state: AuditState) => void) {
    this.#onChange = onChange;
  }

  /** Entries that wait, those that are with the successor among them. */
  get entries(): number {
    return this.#added - this.#durable;
  }

  /** Of the successor's log, as far as it was told. */
  get size(): number {
    return this.#size ?? 0;
  }

  get state(): AuditState {
    const reason = this.#isWritten
      ? this.#isBehind
        ? "the successor is behind"
        : undefined
      : "the successor cannot write it";
    return { isTaking: reason === undefined && this.entries < MAX_WAITING && this.hasRoom, reason };
  }

  /** Whether there is memory for more. */
  get hasRoom(): boolean {
    return this.#characters < MAX_CHARACTERS;
  }

  /** The log is the successor's: from here on it gets groups. */
  give(size: number): void {
    this.#size = size;
    this.onReady();
  }

  add(lines: string): void {
    if (lines === "") return;
    this.#batches.push(lines);
    this.#added += countEntries(lines);
    this.#characters += lines.length;
    this.#watch();
    this.#tell();
    this.onReady();
  }

  /** The next group, which counts as being with the successor. `undefined`: there is none, or one is out already. */
  take(): EntryGroup | undefined {
    if (this.#size === undefined || this.#sent !== undefined || this.#batches.length === 0) return undefined;
    let [count, entries] = [0, 0];
    for (; count < this.#batches.length && entries < MAX_GROUP; count += 1) {
      entries += countEntries(this.#batches[count] ?? "");
    }
    this.#groups += 1;
    this.#sent = { group: this.#groups, lines: this.#batches.splice(0, count).join(""), entries };
    return { group: this.#sent.group, lines: this.#sent.lines };
  }

  /** The successor has made a group durable, in a log of `size` entries. */
  acknowledge(group: number, size: number): void {
    if (this.#sent?.group !== group) return;
    this.#durable += this.#sent.entries;
    this.#characters -= this.#sent.lines.length;
    this.#sent = undefined;
    this.#size = size;
    this.#waiters.reach(this.#durable);
    this.#stopWatching();
    if (this.entries > 0) this.#watch();
    this.#tell();
    this.onReady();
  }

  /** The successor says whether its log can be written. */
  setWritten(isWritten: boolean): void {
    this.#isWritten = isWritten;
    this.#tell();
  }

  /** Resolves when nothing of what waits now does any more: it is durable, or the log has come back. */
  settled(): Promise<void> {
    return this.entries === 0 ? Promise.resolve() : this.#waiters.wait(this.#added, { outlastsFaults: true });
  }

  /** Everything that may be missing from the log, for who writes it now: nothing waits here any more. */
  end(): LeftEntries {
    const left = { after: this.size, doubtful: this.#sent?.lines ?? "", sure: this.#batches.join("") };
    this.#batches = [];
    this.#sent = undefined;
    this.#durable = this.#added;
    this.#characters = 0;
    this.#size = undefined;
    this.#waiters.reach(this.#durable);
    this.#stopWatching();
    return left;
  }

  /** What is in doubt now; it stays here. */
  get doubtful(): Pick<LeftEntries, "after" | "doubtful"> {
    return { after: this.size, doubtful: this.#sent?.lines ?? "" };
  }

  #watch(): void {
    this.#behindTimer ??= setTimeout(() => {
      this.#isBehind = true;
      this.#tell();
    }, BEHIND_MS);
  }

  #stopWatching(): void {
    clearTimeout(this.#behindTimer);
    this.#behindTimer = undefined;
    this.#isBehind = false;
  }

  #tell(): void {
    const { state } = this;
    if (state.isTaking === this.#told) return;
    this.#told = state.isTaking;
    this.#onChange(state);
  }
}

function countEntries(lines: string): number {
  let count = 0;
  for (let at = lines.indexOf("\n"); at >= 0; at = lines.indexOf("\n", at + 1)) count += 1;
  return count >> 1;
}
