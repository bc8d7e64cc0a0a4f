import { Scrubber } from "./scrubber.ts";
import type { SoughtValues } from "./sought-values.ts";
import { type Frame, FrameHeaderReader } from "./websocket-frame.ts";

/** Frames that may stand between the pieces of one value. */
const MAX_WAITING = 64;
const NOTHING = Buffer.alloc(0);

/**
 * Overwrites real values in what a service sends over a WebSocket. Each message is searched as one text, whatever frames
 * it is split into: what could be part of a value is held back until more of the message comes or its end. It is never
 * released after a time, which whoever does not read could wait out.
 */
export class WebSocketScrubber {
  readonly #sought: SoughtValues;
  readonly #search: Scrubber;
  readonly #headers = new FrameHeaderReader();
  #frame: Frame | undefined;
  #left = 0;
  #control: Buffer[] = [];
  #isInMessage = false;
  /** In the stream's order: counts of message bytes that are still searched, and what goes out behind them. */
  #waiting: (number | Buffer)[] = [];
  #out: Buffer[] = [];
  #isRefused = false;

  constructor(sought: SoughtValues) {
    this.#sought = sought;
    this.#search = new Scrubber(sought);
  }

  /** What came cannot be searched: masked, extended or no frame at all. Nothing goes out any more. */
  get isRefused(): boolean {
    return this.#isRefused;
  }

  /** What may go out now. */
  push(chunk: Buffer): Buffer {
    let rest = chunk;
    while (rest.length > 0 && !this.#isRefused) rest = this.#frame === undefined ? this.#begin(rest) : this.#go(rest);
    return this.#taken();
  }

  /** What was held back, when the service ends in the middle of a message. */
  end(): Buffer {
    if (!this.#isRefused) this.#release(this.#search.end());
    return this.#taken();
  }

  #begin(bytes: Buffer): Buffer {
    const { taken, frame } = this.#headers.push(bytes);
    if (frame === "refused" || (frame !== undefined && !this.#mayFollow(frame))) {
      this.#isRefused = true;
      return NOTHING;
    }
    if (frame !== undefined) {
      this.#frame = frame;
      this.#left = frame.bytes;
      if (frame.kind !== "control") this.#pass(frame.header);
      if (frame.bytes === 0) this.#finish(frame);
    }
    return bytes.subarray(taken);
  }

  #mayFollow({ kind }: Frame): boolean {
    if (this.#waiting.length >= MAX_WAITING) return false;
    return kind === "control" || (kind === "continuation") === this.#isInMessage;
  }

  /** Payload of the frame that has begun. */
  #go(bytes: Buffer): Buffer {
    const frame = this.#frame;
    const payload = bytes.subarray(0, this.#left);
    this.#left -= payload.length;
    if (frame?.kind === "control") this.#control.push(payload);
    else {
      this.#count(payload.length);
      this.#release(this.#search.push(payload));
    }
    if (frame !== undefined && this.#left === 0) this.#finish(frame);
    return bytes.subarray(payload.length);
  }

  #count(bytes: number): void {
    const last = this.#waiting.at(-1);
    if (typeof last === "number") this.#waiting[this.#waiting.length - 1] = last + bytes;
    else this.#waiting.push(bytes);
  }

  #finish({ kind, isFinal, header }: Frame): void {
    this.#frame = undefined;
    if (kind === "control") {
      const whole = Buffer.concat([header, ...this.#control]);
      this.#control = [];
      this.#sought.scrubHead(whole.subarray(header.length));
      return this.#pass(whole);
    }
    this.#isInMessage = !isFinal;
    if (isFinal) this.#release(this.#search.end());
  }

  /** Goes out as it is, behind what is still searched. */
  #pass(bytes: Buffer): void {
    this.#waiting.push(bytes);
    this.#release(NOTHING);
  }

  /** Puts bytes of messages that were searched to their places between what goes out as it is. */
  #release(searched: Buffer): void {
    let at = 0;
    let next = this.#waiting[0];
    while (next !== undefined) {
      const piece = typeof next === "number" ? searched.subarray(at, at + next) : next;
      if (piece.length > 0) this.#out.push(piece);
      if (typeof next === "number") {
        at += piece.length;
        if (piece.length < next) {
          this.#waiting[0] = next - piece.length;
          return;
        }
      }
      this.#waiting.shift();
      next = this.#waiting[0];
    }
  }

  #taken(): Buffer {
    const [first = NOTHING] = this.#out;
    const taken = this.#out.length > 1 ? Buffer.concat(this.#out) : first;
    this.#out = [];
    return taken;
  }
}
