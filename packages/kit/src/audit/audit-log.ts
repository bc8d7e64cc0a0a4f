import { type AuditEvent, encodeUnnumbered, Problem, type UnnumberedEntry } from "@gatehouse/core";
import { errorCode } from "../files/error-code.ts";
import { LogTail, type LogTailOptions } from "./log-tail.ts";
import { LogWaiters } from "./log-waiters.ts";
import { WaitingEntries } from "./waiting-entries.ts";

export interface AuditLogOptions extends LogTailOptions {
  /** Told when entries are taken no more, with the reason, and when they are again. */
  readonly onChange: (state: AuditState) => void;
  /** Default 25. */
  readonly flushMs?: number;
  /** Default 5,000. */
  readonly headMs?: number;
}

/** Whether entries are taken, and why not. */
export interface AuditState {
  readonly isTaking: boolean;
  readonly reason: string | undefined;
}

/** An entry waits at most this long for others to be written with. */
const DEFAULT_FLUSH_MS = 25;
const DEFAULT_HEAD_MS = 5_000;
const RETRY_MS = 500;
/** A write that takes longer means that the log is behind. */
const BEHIND_MS = 1_000;

/**
 * The one writer of an append-only log: entries are numbered in the order in which they come, written in groups, each
 * durable before it counts, and covered by a signed head soon after. Nothing that was taken is lost: what the disk does
 * not take waits, in order, until it does.
 */
export class AuditLog implements AsyncDisposable {
  readonly #options: AuditLogOptions;
  readonly #tail: LogTail;
  readonly #waiting: WaitingEntries;
  readonly #waiters = new LogWaiters();
  #isHeadDue = false;
  #flushTimer: NodeJS.Timeout | undefined;
  #headTimer: NodeJS.Timeout | undefined;
  #writing: Promise<void> | undefined;
  #fault: string | undefined;
  #isBehind = false;
  #isClosing = false;
  #told = true;

  private constructor(options: AuditLogOptions, tail: LogTail) {
    this.#options = options;
    this.#tail = tail;
    this.#waiting = new WaitingEntries(tail.size);
    if (tail.size > tail.covered) this.#expectHead();
  }

  /** Opens the log where it ended, or makes it. Fails with `audit.tampered` as `recoverLog` does. */
  static async open(options: AuditLogOptions): Promise<AuditLog> {
    const tail = await LogTail.open(options);
    const opened = new AuditLog(options, tail);
    if (tail.torn !== undefined) {
      const data = { kept_as: tail.torn };
      opened.note([{ time: options.clock.now(), run: null, agent: null, actor: "node", kind: "audit.tail_cut", data }]);
    }
    return opened;
  }

  get log(): string {
    return this.#tail.log;
  }

  /** Durable entries. */
  get size(): number {
    return this.#tail.size;
  }

  get state(): AuditState {
    const reason = this.#fault ?? (this.#isBehind ? "the disk is slow" : undefined);
    return { isTaking: reason === undefined && !this.#waiting.isFull && !this.#isClosing, reason };
  }

  /** Whether there is memory for more of what `note` takes: a caller that can must not go on without. */
  get hasRoom(): boolean {
    return this.#waiting.hasRoom;
  }

  /** Takes what is about to be done: durable when it resolves. Fails with `audit.unwritable`; then it is not to be done. */
  async append(event: AuditEvent): Promise<void> {
    this.requireTaking();
    this.note([event]);
    await this.settled();
  }

  /** Fails with `audit.unwritable` while entries are not taken. */
  requireTaking(): void {
    const { isTaking, reason } = this.state;
    if (!isTaking) throw new Problem("audit.unwritable", { detail: `${reason ?? "Too many entries wait"}.` });
  }

  /** Takes what has happened. Durable within a moment, or as soon as the disk takes it. */
  note(events: readonly AuditEvent[]): void {
    this.noteEncoded(events.map((event) => encodeUnnumbered(event, { org: null, node: this.log })));
  }

  /** `note` of what another process wrote down with this log's id as its node. */
  noteEncoded(entries: readonly UnnumberedEntry[]): void {
    this.#waiting.add(entries);
    if (this.#waiting.fillsGroup) this.#startWriting();
    else this.#expectWriting();
    this.#tell();
  }

  /** Resolves when all that was taken so far is durable. Fails with `audit.unwritable` when it cannot be written now. */
  settled(): Promise<void> {
    if (this.#waiting.isEmpty) return Promise.resolve();
    if (this.#fault !== undefined) return Promise.reject(unwritable(this.#fault));
    return this.#wait({ outlastsFaults: false });
  }

  /** As `settled`, however long the disk takes nothing. Returns the log's size. Fails when the log is closed before. */
  async durable(): Promise<number> {
    const size = this.#waiting.nextSeq;
    if (!this.#waiting.isEmpty) await this.#wait({ outlastsFaults: true });
    return size;
  }

  /** As `durable`, and in no hurry: what comes within a moment is written with it. */
  async written(): Promise<void> {
    const size = this.#waiting.nextSeq;
    if (!this.#waiting.isEmpty) await this.#waiters.wait(size, { outlastsFaults: true, isPatient: true });
  }

  /** Signs a head over all that is taken, now. Fails as `settled` does. */
  async signHead(): Promise<void> {
    const size = this.#waiting.nextSeq;
    while (this.#tail.covered < size) {
      if (this.#fault !== undefined) throw unwritable(this.#fault);
      this.#isHeadDue = true;
      this.#startWriting();
      await this.#writing;
    }
  }

  #wait(how: { readonly outlastsFaults: boolean }): Promise<void> {
    const reached = this.#waiters.wait(this.#waiting.nextSeq, how);
    this.#startWriting();
    return reached;
  }

  #expectWriting(): void {
    this.#flushTimer ??= setTimeout(() => {
      // While a group is being written it does nothing, and must not stand in the way of the next one.
      this.#flushTimer = undefined;
      this.#startWriting();
    }, this.#options.flushMs ?? DEFAULT_FLUSH_MS);
  }

  #startWriting(): void {
    if (this.#writing !== undefined || this.#fault !== undefined) return;
    this.#write();
  }

  #write(): void {
    clearTimeout(this.#flushTimer);
    this.#flushTimer = undefined;
    this.#writing = this.#writeAll().then(
      () => this.#afterWriting(undefined),
      (failure: unknown) => this.#afterWriting(failure),
    );
  }

  async #writeAll(): Promise<void> {
    const slow = setTimeout(() => {
      this.#isBehind = true;
      this.#tell();
    }, BEHIND_MS);
    try {
      do {
        await this.#writeGroup();
        this.#waiters.reach(this.size);
        slow.refresh();
      } while (this.#waiters.areUrgent || this.#waiting.fillsGroup || this.#mustSign());
    } finally {
      clearTimeout(slow);
      this.#isBehind = false;
    }
  }

  #afterWriting(failure: unknown): void {
    this.#writing = undefined;
    if (failure === undefined) {
      this.#fault = undefined;
      if (!this.#waiting.isEmpty && !this.#isClosing) this.#expectWriting();
    } else {
      // Of a head that cannot be written, what the system says: a code of ours tells nobody what to do.
      this.#fault = errorCode(failure instanceof Problem ? failure.cause : failure);
      this.#waiters.fail(unwritable(this.#fault));
      clearTimeout(this.#flushTimer);
      this.#flushTimer = this.#isClosing ? undefined : setTimeout(() => this.#write(), RETRY_MS);
    }
    this.#tell();
  }

  /** One group, then a head when one is due, then a new segment when this one is full. */
  async #writeGroup(): Promise<void> {
    const group = this.#waiting.group();
    if (group.length > 0) {
      await this.#tail.append(group);
      this.#waiting.wrote(group);
      this.#expectHead();
    }
    const { isFull } = this.#tail;
    if (isFull ? this.size > this.#tail.covered : this.#mustSign()) await this.#sign();
    if (isFull && this.size === this.#tail.covered) this.#tail.beginSegment();
  }

  #mustSign(): boolean {
    return this.#isHeadDue && this.size > this.#tail.covered;
  }

  async #sign(): Promise<void> {
    await this.#tail.sign();
    this.#isHeadDue = false;
    clearTimeout(this.#headTimer);
    this.#headTimer = undefined;
  }

  #expectHead(): void {
    this.#headTimer ??= setTimeout(() => {
      this.#isHeadDue = true;
      this.#startWriting();
    }, this.#options.headMs ?? DEFAULT_HEAD_MS);
  }

  #tell(): void {
    const { state } = this;
    if (this.#isClosing || state.isTaking === this.#told) return;
    this.#told = state.isTaking;
    this.#options.onChange(state);
  }

  /** Writes what waits and signs a last head. What a full disk does not take then is lost with this process. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosing = true;
    await this.#writing;
    this.#fault = undefined;
    await this.signHead().catch(() => undefined);
    this.#waiters.end(unwritable("The log is closed"));
    clearTimeout(this.#flushTimer);
    clearTimeout(this.#headTimer);
    await this.#tail[Symbol.asyncDispose]();
  }
}

function unwritable(reason: string): Problem {
  return new Problem("audit.unwritable", { detail: `${reason}.` });
}
