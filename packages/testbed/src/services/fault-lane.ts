import type { Socket } from "node:net";
import { setTimeout as wait } from "node:timers/promises";
import type { RandomNumber } from "../system/seeded-random.ts";

/** What happens to bytes on their way in one direction. */
export interface LaneFaults {
  /** Each byte arrives so much later. */
  readonly delayMs: number;
  /** And up to so much more, never out of order: it is a stream. */
  readonly jitterMs: number;
  /** Infinity: as fast as it comes. */
  readonly bytesPerSecond: number;
  /** How likely one bit of a piece is turned over: 0 to 1. */
  readonly corruptChance: number;
  /** Nothing arrives, neither bytes nor the end; what is sent meanwhile arrives after the cut, as by retransmission. */
  readonly isCut: boolean;
  /** So many bytes of each connection arrive, counted from its beginning; then it is cut. Infinity: all. */
  readonly cutAfterBytes: number;
}

export const NO_FAULTS: LaneFaults = {
  delayMs: 0,
  jitterMs: 0,
  bytesPerSecond: Number.POSITIVE_INFINITY,
  corruptChance: 0,
  isCut: false,
  cutAfterBytes: Number.POSITIVE_INFINITY,
};

interface LaneEnds {
  readonly from: Socket;
  readonly to: Socket;
}

/** Beyond it the sender waits, as when a window is full. */
const MAX_HELD_BYTES = 1_048_576;
const PIECE_BYTES = 16_384;
/** Of chances and of parts of the jitter. */
const STEPS = 1_000_000;

type Held = Buffer | "end" | "reset";

/** One direction of one connection. */
export class FaultLane {
  readonly #ends: LaneEnds;
  readonly #random: RandomNumber;
  #faults: LaneFaults;
  #held: { readonly what: Held; readonly dueMs: number }[] = [];
  #heldBytes = 0;
  #lastDueMs = 0;
  #passedBytes = 0;
  #wake = Promise.withResolvers<void>();
  #isOver = false;

  constructor(ends: LaneEnds, faults: LaneFaults, random: RandomNumber) {
    this.#ends = ends;
    this.#faults = faults;
    this.#random = random;
    const { from } = ends;
    from.on("data", (chunk: Buffer) => this.#hold(chunk));
    from.once("end", () => this.#hold("end"));
    from.once("error", () => this.#hold("reset"));
    void this.#deliver();
  }

  get isCut(): boolean {
    return this.#faults.isCut || this.#passedBytes >= this.#faults.cutAfterBytes;
  }

  /** Something waits for the end of a cut. */
  get holdsBack(): boolean {
    return this.isCut && this.#held.length > 0;
  }

  /** From now on, also for what is on its way. */
  set faults(faults: LaneFaults) {
    this.#faults = faults;
    this.#stir();
  }

  /** The receiver hears the sender's end now; what the sender says later is lost. */
  endNow(): void {
    this.stop();
    this.#ends.to.end();
  }

  /** The receiver hears that the connection was reset. */
  reset(): void {
    this.stop();
    this.#ends.to.resetAndDestroy();
  }

  /** Nothing more is passed on, not even an end. */
  stop(): void {
    this.#isOver = true;
    this.#held = [];
    this.#ends.from.resume();
    this.#stir();
  }

  #hold(what: Held): void {
    if (this.#isOver) return;
    const { delayMs, jitterMs } = this.#faults;
    const dueMs = performance.now() + delayMs + (jitterMs * this.#random(STEPS)) / STEPS;
    this.#lastDueMs = Math.max(this.#lastDueMs, dueMs);
    this.#held.push({ what, dueMs: this.#lastDueMs });
    this.#heldBytes += bytesOf(what);
    if (this.#heldBytes > MAX_HELD_BYTES) this.#ends.from.pause();
    this.#stir();
  }

  #stir(): void {
    this.#wake.resolve();
    this.#wake = Promise.withResolvers();
  }

  async #deliver(): Promise<void> {
    while (!this.#isOver) {
      const next = this.#held[0];
      if (next === undefined || this.isCut) {
        await this.#wake.promise;
        continue;
      }
      const leftMs = next.dueMs - performance.now();
      if (leftMs > 0) await wait(leftMs);
      else {
        await this.#pass(next.what);
        this.#held.shift();
      }
    }
  }

  async #pass(what: Held): Promise<void> {
    if (what === "end") return this.endNow();
    if (what === "reset") return this.reset();
    await this.#write(what);
  }

  async #write(chunk: Buffer): Promise<void> {
    const { from, to } = this.#ends;
    for (let at = 0; at < chunk.length && !this.#isOver; ) {
      const { bytesPerSecond, cutAfterBytes } = this.#faults;
      if (this.isCut) {
        await this.#wake.promise;
        continue;
      }
      const piece = chunk.subarray(at, at + Math.min(PIECE_BYTES, cutAfterBytes - this.#passedBytes));
      if (Number.isFinite(bytesPerSecond)) await wait((piece.length / bytesPerSecond) * 1_000);
      if (this.isCut || this.#isOver) continue;
      at += piece.length;
      this.#passedBytes += piece.length;
      if (!to.write(this.#corrupt(piece))) await this.#drained();
    }
    this.#heldBytes -= chunk.length;
    if (this.#heldBytes <= MAX_HELD_BYTES) from.resume();
  }

  #corrupt(piece: Buffer): Buffer {
    const { corruptChance } = this.#faults;
    if (this.#random(STEPS) >= corruptChance * STEPS) return piece;
    const at = this.#random(piece.length);
    piece[at] = (piece[at] ?? 0) ^ (1 << this.#random(8));
    return piece;
  }

  #drained(): Promise<void> {
    const { to } = this.#ends;
    return new Promise((resolve) => {
      const done = () => {
        to.off("drain", done);
        to.off("close", done);
        resolve();
      };
      to.once("drain", done);
      to.once("close", done);
      if (to.destroyed) done();
    });
  }
}

function bytesOf(what: Held): number {
  return typeof what === "string" ? 0 : what.length;
}
