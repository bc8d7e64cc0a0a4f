import { type Reading, readEscapes } from "./read-escapes.ts";
import type { HeldRun, SoughtValues } from "./sought-values.ts";

const SPACE = 32;
const NOTHING = Buffer.alloc(0);

/**
 * Overwrites real values in one body that goes back to a sandbox with placeholders of the same length, so framing
 * stands. A value is found as it is and where characters of it are escaped. The outcome is that of one pass over the
 * whole body, however it is split.
 *
 * What it holds back must not depend on a match, or timing would tell: it is the trailing run of characters that a
 * value could still go on through, at most the longest value minus one, and an escape that is not whole yet. Space ends
 * that run, except the very sorts of it that stand in a value.
 */
export class Scrubber {
  readonly #sought: SoughtValues;
  readonly #isText: boolean;
  /** The bytes held back, as they came; and as they will go out. */
  #held: Buffer = NOTHING;
  #heldOut: Buffer = NOTHING;
  /** How many characters of what is held back were read: an escape that was not whole is not among them. */
  #heldRead = 0;

  /** `isText`: escapes are read. Where they mean nothing (archives, images) that would be a waste. */
  constructor(sought: SoughtValues, isText = true) {
    this.#sought = sought;
    this.#isText = isText;
  }

  /** What may go out now. */
  push(chunk: Buffer): Buffer {
    if (chunk.length === 0) return NOTHING;
    const bytes = this.#held.length === 0 ? chunk : Buffer.concat([this.#held, chunk]);
    const reading = this.#isText ? readEscapes(bytes, false) : undefined;
    const out = this.#overwritten(bytes, chunk, reading);
    const cut = bytes.length - trailingBytes(bytes, this.#sought.runs, reading);
    // Copies: a slice would keep the whole chunk alive, and the caller may use its memory again.
    this.#held = Buffer.from(bytes.subarray(cut));
    this.#heldOut = out === bytes ? this.#held : Buffer.from(out.subarray(cut));
    this.#heldRead = reading === undefined ? this.#held.length : reading.bytes.length - reading.indexOf(cut);
    return out.subarray(0, cut);
  }

  /** What was held back, at the end of the body. */
  end(): Buffer {
    const bytes = this.#held;
    const rest = this.#isText ? this.#overwritten(bytes, NOTHING, readEscapes(bytes, true)) : this.#heldOut;
    this.#held = NOTHING;
    this.#heldOut = NOTHING;
    this.#heldRead = 0;
    return rest;
  }

  /** `bytes` itself where nothing is to be overwritten. */
  #overwritten(bytes: Buffer, chunk: Buffer, reading: Reading | undefined): Buffer {
    const found = this.#sought.findAll(bytes, { reading, after: this.#held.length, afterRead: this.#heldRead });
    if (found.length === 0 && this.#heldOut === this.#held) return bytes;
    const out = Buffer.concat([this.#heldOut, chunk]);
    this.#sought.overwrite(out, found);
    return out;
  }
}

function trailingBytes(bytes: Buffer, runs: readonly HeldRun[], reading: Reading | undefined): number {
  let held = 0;
  for (const { maxBytes, spaces } of runs) {
    const most = Math.min(bytes.length, reading === undefined ? maxBytes : rawBytes(bytes, reading, maxBytes));
    let run = 0;
    while (run < most && !endsRun(bytes[bytes.length - 1 - run] ?? 0, spaces)) run += 1;
    held = Math.max(held, run);
  }
  return held;
}

/** How many bytes the last characters take, with what is not read yet. */
function rawBytes(bytes: Buffer, reading: Reading, characters: number): number {
  return bytes.length - reading.offsetOf(Math.max(0, reading.bytes.length - characters));
}

function endsRun(byte: number, spaces: Buffer): boolean {
  return byte <= SPACE && !spaces.includes(byte);
}
