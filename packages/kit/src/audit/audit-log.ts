import {
  type AuditEvent,
  auditKeyId,
  type Clock,
  encodeHead,
  encodeUnnumbered,
  hashLeaf,
  headBytes,
  MerkleFrontier,
  numberEntry,
  Problem,
  type SignedHead,
  type UnnumberedEntry,
} from "@gatehouse/core";
import { errorCode } from "../files/error-code.ts";
import { sha256 } from "../keys/sha256.ts";
import type { SigningKey } from "../keys/signing-key.ts";
import { LogWaiters } from "./log-waiters.ts";
import { recoverLog } from "./recover-log.ts";
import { encodeSegmentHeader } from "./segment-header.ts";
import type { SegmentStore } from "./segment-store.ts";

export interface AuditLogOptions {
  /** Belongs to the log from now on, which closes it. */
  readonly store: SegmentStore;
  readonly key: SigningKey;
  readonly clock: Clock;
  /** Id of a log that is made now; one that is there keeps its own. */
  readonly newLogId: () => string;
  /** Told when entries are taken no more, with the reason, and when they are again. */
  readonly onChange: (state: AuditState) => void;
  /** Default 16 MiB. */
  readonly segmentBytes?: number;
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

interface Waiting {
  readonly text: string;
  readonly leaf: Uint8Array;
}

const DEFAULT_SEGMENT_BYTES = 16 * 1_048_576;
/** An entry waits at most this long for others to be written with. */
const DEFAULT_FLUSH_MS = 25;
const DEFAULT_HEAD_MS = 5_000;
const RETRY_MS = 500;
/** A write that takes longer means that the log is behind. */
const BEHIND_MS = 1_000;
/** So many entries may wait before no more are asked for. Those of what has happened already are taken all the same. */
const MAX_WAITING = 65_536;
const MAX_GROUP = 8_192;

/**
 * The one writer of an append-only log: entries are numbered in the order in which they come, written in groups, each
 * durable before it counts, and covered by a signed head soon after. Nothing that was taken is lost: what the disk does
 * not take waits, in order, until it does.
 */
export class AuditLog implements AsyncDisposable {
  readonly log: string;
  readonly #options: AuditLogOptions;
  readonly #keyId: string;
  /** Over what is durable. */
  readonly #tree: MerkleFrontier;
  #segment: { first: number; offset: number };
  #nextSeq: number;
  #waiting: Waiting[] = [];
  readonly #waiters = new LogWaiters();
  #covered: number;
  #isHeadDue = false;
  #flushTimer: NodeJS.Timeout | undefined;
  #headTimer: NodeJS.Timeout | undefined;
  #writing: Promise<void> | undefined;
  #fault: string | undefined;
  #isBehind = false;
  #isClosing = false;
  #told = true;

  private constructor(options: AuditLogOptions, start: Start) {
    this.#options = options;
    this.#keyId = auditKeyId(sha256, options.key.publicKey);
    this.log = start.log;
    this.#segment = { first: start.first, offset: start.offset };
    this.#tree = start.tree;
    this.#nextSeq = start.tree.size;
    this.#covered = start.covered;
    if (this.#nextSeq > this.#covered) this.#expectHead();
  }

  /** Opens the log where it ended, or makes it. Fails with `audit.tampered` as `recoverLog` does. */
  static async open(options: AuditLogOptions): Promise<AuditLog> {
    const found = await recoverLog(options.store, options.key.publicKey).catch(async (failure: unknown) => {
      await options.store[Symbol.asyncDispose]();
      throw failure;
    });
    if (found === undefined) {
      const tree = new MerkleFrontier(sha256);
      return new AuditLog(options, { log: options.newLogId(), first: 0, offset: 0, tree, covered: 0 });
    }
    const { log, first, offset, verifier, torn } = found;
    const covered = verifier.size - verifier.unprotected;
    const opened = new AuditLog(options, { log, first, offset, tree: verifier.tree, covered });
    if (torn !== undefined) {
      const data = { kept_as: torn };
      opened.note([{ time: options.clock.now(), run: null, agent: null, actor: "node", kind: "audit.tail_cut", data }]);
    }
    return opened;
  }

  /** Durable entries. */
  get size(): number {
    return this.#tree.size;
  }

  get state(): AuditState {
    const reason = this.#fault ?? (this.#isBehind ? "the disk is slow" : undefined);
    return { isTaking: reason === undefined && this.#waiting.length < MAX_WAITING && !this.#isClosing, reason };
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
    for (const entry of entries) {
      const text = numberEntry(entry, this.#nextSeq);
      this.#waiting.push({ text, leaf: hashLeaf(sha256, text) });
      this.#nextSeq += 1;
    }
    if (this.#waiting.length >= MAX_GROUP) this.#startWriting();
    else this.#flushTimer ??= setTimeout(() => this.#startWriting(), this.#options.flushMs ?? DEFAULT_FLUSH_MS);
    this.#tell();
  }

  /** Resolves when all that was taken so far is durable. Fails with `audit.unwritable` when it cannot be written now. */
  settled(): Promise<void> {
    if (this.#waiting.length === 0) return Promise.resolve();
    if (this.#fault !== undefined) return Promise.reject(unwritable(this.#fault));
    return this.#wait({ outlastsFaults: false });
  }

  /** As `settled`, however long the disk takes nothing. Returns the log's size. Fails when the log is closed before. */
  async durable(): Promise<number> {
    const size = this.#nextSeq;
    if (this.#waiting.length > 0) await this.#wait({ outlastsFaults: true });
    return size;
  }

  /** Signs a head over all that is taken, now. Fails as `settled` does. */
  async signHead(): Promise<void> {
    const size = this.#nextSeq;
    while (this.#covered < size) {
      if (this.#fault !== undefined) throw unwritable(this.#fault);
      this.#isHeadDue = true;
      this.#startWriting();
      await this.#writing;
    }
  }

  #wait(how: { readonly outlastsFaults: boolean }): Promise<void> {
    const reached = this.#waiters.wait(this.#nextSeq, how);
    this.#startWriting();
    return reached;
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
      } while (!this.#waiters.isEmpty || this.#waiting.length >= MAX_GROUP || this.#mustSign());
    } finally {
      clearTimeout(slow);
      this.#isBehind = false;
    }
  }

  #afterWriting(failure: unknown): void {
    this.#writing = undefined;
    if (failure === undefined) {
      this.#fault = undefined;
      if (this.#waiting.length > 0 && !this.#isClosing) {
        this.#flushTimer ??= setTimeout(() => this.#startWriting(), this.#options.flushMs ?? DEFAULT_FLUSH_MS);
      }
    } else {
      this.#fault = errorCode(failure) ?? String(failure);
      this.#waiters.fail(unwritable(this.#fault));
      clearTimeout(this.#flushTimer);
      this.#flushTimer = this.#isClosing ? undefined : setTimeout(() => this.#write(), RETRY_MS);
    }
    this.#tell();
  }

  /** One group, then a head when one is due, then a new segment when this one is full. */
  async #writeGroup(): Promise<void> {
    const group = this.#waiting.slice(0, MAX_GROUP);
    if (group.length > 0) {
      await this.#put(group.map(({ text }) => `${text}\n`).join(""));
      this.#waiting = this.#waiting.slice(group.length);
      for (const { leaf } of group) this.#tree.append(leaf);
      this.#expectHead();
    }
    const isFull = this.#segment.offset >= (this.#options.segmentBytes ?? DEFAULT_SEGMENT_BYTES);
    if (isFull ? this.size > this.#covered : this.#mustSign()) await this.#putHead();
    if (isFull && this.size === this.#covered) this.#segment = { first: this.size, offset: 0 };
  }

  #mustSign(): boolean {
    return this.#isHeadDue && this.size > this.#covered;
  }

  async #putHead(): Promise<void> {
    const { key, clock, store } = this.#options;
    const head = { size: this.size, root: this.#tree.root(), time: clock.now() };
    const signed: SignedHead = { ...head, keyId: this.#keyId, signature: key.sign(headBytes(this.log, head)) };
    const text = encodeHead(signed);
    await this.#put(`${text}\n`);
    this.#covered = head.size;
    this.#isHeadDue = false;
    clearTimeout(this.#headTimer);
    this.#headTimer = undefined;
    await store.writeHead(text);
  }

  async #put(text: string): Promise<void> {
    const { first, offset } = this.#segment;
    const { publicKey: key } = this.#options.key;
    const header = offset === 0 ? `${encodeSegmentHeader({ log: this.log, key, tree: this.#tree })}\n` : "";
    const data = Buffer.from(header + text);
    await this.#options.store.write(first, offset, data);
    this.#segment.offset = offset + data.length;
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
    await this.#options.store[Symbol.asyncDispose]();
  }
}

interface Start {
  readonly log: string;
  readonly first: number;
  readonly offset: number;
  readonly tree: MerkleFrontier;
  readonly covered: number;
}

function unwritable(reason: string): Problem {
  return new Problem("audit.unwritable", { detail: `${reason}.` });
}
