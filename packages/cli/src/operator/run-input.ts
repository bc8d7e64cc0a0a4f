import type { Readable } from "node:stream";
import { affordableBytes, RunStreamCredit, runStreamCost } from "@gatehouse/wire";

/** What goes to a run's standard input. */
export type InputMessage =
  | { readonly case: "input"; readonly value: { readonly offset: bigint; readonly data: Uint8Array } }
  | { readonly case: "inputEnd"; readonly value: object };

interface Piece {
  readonly offset: number;
  readonly data: Uint8Array;
}

/**
 * Standard input for a run, read no faster than the run takes it. What was sent and not taken yet is kept, and sent
 * again on the next stream when one breaks.
 */
export class RunInputFeed {
  readonly #source: Readable;
  #next: Promise<IteratorResult<Buffer>> | undefined;
  readonly #chunks: AsyncIterator<Buffer>;
  #rest: Uint8Array = new Uint8Array();
  #hasEnded = false;
  /** Of the next byte that is read; `undefined` before the run said where it stands. */
  #offset: number | undefined;
  #unconfirmed: Piece[] = [];
  #confirmedCost = 0;

  constructor(source: Readable) {
    this.#source = source;
    this.#chunks = source[Symbol.asyncIterator]();
  }

  /** Begins on a new stream, where the run has been given so much. */
  begin(inputOffset: number, send: (message: InputMessage) => void): FeedTurn {
    this.#offset ??= inputOffset;
    this.#unconfirmed = this.#unconfirmed.filter(({ offset, data }) => offset + data.length > inputOffset);
    this.#confirmedCost = 0;
    return new FeedTurn(this, send);
  }

  get unconfirmed(): readonly Piece[] {
    return this.#unconfirmed;
  }

  /** So much credit came back: the oldest pieces were taken. */
  confirm(cost: number): void {
    this.#confirmedCost += cost;
    for (let [oldest] = this.#unconfirmed; oldest !== undefined; [oldest] = this.#unconfirmed) {
      if (runStreamCost(oldest.data) > this.#confirmedCost) return;
      this.#confirmedCost -= runStreamCost(oldest.data);
      this.#unconfirmed.shift();
    }
  }

  /** Waits until there is something to read; false at its end. */
  async wait(): Promise<boolean> {
    if (this.#rest.length > 0) return true;
    if (this.#hasEnded) return false;
    this.#next ??= this.#chunks.next();
    const { value, done } = await this.#next;
    this.#next = undefined;
    if (done === true) this.#hasEnded = true;
    else this.#rest = value;
    return done !== true;
  }

  /** Takes what there is, up to a limit. */
  take(limit: number): Piece {
    const piece = { offset: this.#offset ?? 0, data: this.#rest.subarray(0, limit) };
    this.#rest = this.#rest.subarray(limit);
    this.#offset = piece.offset + piece.data.length;
    this.#unconfirmed.push(piece);
    return piece;
  }

  /** Reads no more: whoever waited for it may end. */
  [Symbol.dispose](): void {
    this.#next?.catch(() => undefined);
    this.#source.destroy();
  }
}

/** Feeds one stream, within the credit that comes on it. */
export class FeedTurn implements Disposable {
  readonly #feed: RunInputFeed;
  readonly #send: (message: InputMessage) => void;
  readonly #credit = new RunStreamCredit();
  #again: readonly Piece[];
  #hasGranted = false;
  #isOver = false;
  #isRunning = false;

  constructor(feed: RunInputFeed, send: (message: InputMessage) => void) {
    this.#feed = feed;
    this.#send = send;
    this.#again = [...feed.unconfirmed];
  }

  /** Takes credit; what comes after the first is for what was taken. */
  grant(bytes: bigint): void {
    this.#credit.grant(bytes);
    if (this.#hasGranted) this.#feed.confirm(Number(bytes));
    this.#hasGranted = true;
    if (!this.#isRunning) void this.#run();
  }

  async #run(): Promise<void> {
    this.#isRunning = true;
    while (this.#sendAgain());
    while (this.#again.length === 0 && affordableBytes(this.#credit.left) > 0 && !this.#isOver) {
      const isThere = await this.#feed.wait().catch(() => false);
      if (this.#isOver) return;
      if (!isThere) {
        this.#isOver = true;
        return this.#send({ case: "inputEnd", value: {} });
      }
      this.#sendOne(this.#feed.take(affordableBytes(this.#credit.left)));
    }
    this.#isRunning = false;
  }

  /** What the last stream broke under; false when nothing is left of it, or there is no credit for it yet. */
  #sendAgain(): boolean {
    const [first, ...rest] = this.#again;
    if (first === undefined || this.#isOver || runStreamCost(first.data) > this.#credit.left) return false;
    this.#again = rest;
    this.#sendOne(first);
    return true;
  }

  #sendOne({ offset, data }: Piece): void {
    this.#credit.spend(data);
    this.#send({ case: "input", value: { offset: BigInt(offset), data } });
  }

  [Symbol.dispose](): void {
    this.#isOver = true;
  }
}
