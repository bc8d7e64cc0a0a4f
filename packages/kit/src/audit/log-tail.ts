import { auditKeyId, type Clock, encodeHead, headBytes, MerkleFrontier, type SignedHead } from "@gatehouse/core";
import { sha256 } from "../keys/sha256.ts";
import type { SigningKey } from "../keys/signing-key.ts";
import { recoverLog } from "./recover-log.ts";
import { encodeSegmentHeader } from "./segment-header.ts";
import type { SegmentStore } from "./segment-store.ts";
import type { NumberedEntry } from "./waiting-entries.ts";

export interface LogTailOptions {
  /** Belongs to the tail from now on, which closes it. */
  readonly store: SegmentStore;
  readonly key: SigningKey;
  readonly clock: Clock;
  /** Id of a log that is made now; one that is there keeps its own. */
  readonly newLogId: () => string;
  /** Default 16 MiB. */
  readonly segmentBytes?: number;
}

const DEFAULT_SEGMENT_BYTES = 16 * 1_048_576;

/** The end of a log on its store: what is there is durable, and a write that failed can be made again. */
export class LogTail implements AsyncDisposable {
  readonly log: string;
  /** Where the end that was not whole was kept, if there was one. */
  readonly torn: string | undefined;
  readonly #options: LogTailOptions;
  readonly #keyId: string;
  readonly #tree: MerkleFrontier;
  #segment: { first: number; offset: number };
  #covered: number;

  private constructor(options: LogTailOptions, found: Found) {
    this.#options = options;
    this.#keyId = auditKeyId(sha256, options.key.publicKey);
    this.log = found.log;
    this.torn = found.torn;
    this.#tree = found.tree;
    this.#segment = { first: found.first, offset: found.offset };
    this.#covered = found.covered;
  }

  /** Opens the log where it ended, or makes it. Fails with `audit.tampered` as `recoverLog` does. */
  static async open(options: LogTailOptions): Promise<LogTail> {
    const { store, key, newLogId } = options;
    const found = await recoverLog(store, key.publicKey).catch(async (failure: unknown) => {
      await store[Symbol.asyncDispose]();
      throw failure;
    });
    if (found === undefined) {
      const tree = new MerkleFrontier(sha256);
      return new LogTail(options, { log: newLogId(), torn: undefined, tree, first: 0, offset: 0, covered: 0 });
    }
    const { verifier, ...where } = found;
    return new LogTail(options, { ...where, tree: verifier.tree, covered: verifier.size - verifier.unprotected });
  }

  /** Entries. */
  get size(): number {
    return this.#tree.size;
  }

  /** Entries that the last signed head covers. */
  get covered(): number {
    return this.#covered;
  }

  /** The segment has its size: it ends with a head, and the next entry begins a new one. */
  get isFull(): boolean {
    return this.#segment.offset >= (this.#options.segmentBytes ?? DEFAULT_SEGMENT_BYTES);
  }

  async append(group: readonly NumberedEntry[]): Promise<void> {
    await this.#put(group.map(({ text }) => `${text}\n`).join(""));
    for (const { leaf } of group) this.#tree.append(leaf);
  }

  /** Covers everything by a signed head. */
  async sign(): Promise<void> {
    const { key, clock, store } = this.#options;
    const head = { size: this.size, root: this.#tree.root(), time: clock.now() };
    const signed: SignedHead = { ...head, keyId: this.#keyId, signature: key.sign(headBytes(this.log, head)) };
    const text = encodeHead(signed);
    await this.#put(`${text}\n`);
    this.#covered = head.size;
    await store.writeHead(text);
  }

  /** What comes next stands in a new segment. */
  beginSegment(): void {
    this.#segment = { first: this.size, offset: 0 };
  }

  async #put(text: string): Promise<void> {
    const { first, offset } = this.#segment;
    const { publicKey: key } = this.#options.key;
    const header = offset === 0 ? `${encodeSegmentHeader({ log: this.log, key, tree: this.#tree })}\n` : "";
    const data = Buffer.from(header + text);
    await this.#options.store.write(first, offset, data);
    this.#segment.offset = offset + data.length;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#options.store[Symbol.asyncDispose]();
  }
}

interface Found {
  readonly log: string;
  readonly torn: string | undefined;
  readonly tree: MerkleFrontier;
  readonly first: number;
  readonly offset: number;
  readonly covered: number;
}
