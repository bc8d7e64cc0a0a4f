import type { ScrubbedValue } from "../snapshot/run-snapshot.ts";

interface Needle {
  readonly value: Buffer;
  readonly overwrite: Buffer;
}

/**
 * Overwrites real values in what goes back to a sandbox with placeholders of the same length, so framing stands. One
 * instance follows one body. What it holds back must not depend on a match, or timing would tell: it is the trailing
 * run of non-space bytes, at most the longest value minus one (and, for values with spaces, that many bytes always).
 */
export class Scrubber {
  readonly #needles: readonly Needle[];
  readonly #holdBytes: number;
  readonly #breaksAtSpace: boolean;
  #held: Buffer = Buffer.alloc(0);

  constructor(values: readonly ScrubbedValue[]) {
    this.#needles = values
      .map(({ value, overwrite }) => ({ value: Buffer.from(value), overwrite: Buffer.from(overwrite) }))
      .filter(({ value, overwrite }) => value.length > 0 && value.length === overwrite.length)
      .sort((a, b) => b.value.length - a.value.length);
    this.#holdBytes = Math.max(0, ...this.#needles.map(({ value }) => value.length - 1));
    this.#breaksAtSpace = this.#needles.every(({ value }) => !value.some(isSpace));
  }

  /** Whether there is anything to look for. */
  get isIdle(): boolean {
    return this.#needles.length === 0;
  }

  /** A head's text (latin1), overwritten as a whole. */
  head(text: string): string {
    if (this.isIdle) return text;
    return this.#overwrite(Buffer.from(text, "latin1")).toString("latin1");
  }

  /** What may go out now. */
  push(chunk: Buffer): Buffer {
    if (this.isIdle) return chunk;
    const bytes = this.#overwrite(this.#held.length === 0 ? chunk : Buffer.concat([this.#held, chunk]));
    const cut = bytes.length - this.#trailingBytes(bytes);
    // A copy: the slice would keep the whole chunk alive, and the caller may reuse its memory.
    this.#held = Buffer.from(bytes.subarray(cut));
    return bytes.subarray(0, cut);
  }

  /** What was held back, at the end of the body. */
  end(): Buffer {
    const rest = this.#held;
    this.#held = Buffer.alloc(0);
    return rest;
  }

  #trailingBytes(bytes: Buffer): number {
    const most = Math.min(bytes.length, this.#holdBytes);
    if (!this.#breaksAtSpace) return most;
    let held = 0;
    while (held < most && !isSpace(bytes[bytes.length - 1 - held] ?? 0)) held += 1;
    return held;
  }

  #overwrite(bytes: Buffer): Buffer {
    let result = bytes;
    for (const { value, overwrite } of this.#needles) {
      for (let at = result.indexOf(value); at >= 0; at = result.indexOf(value, at + value.length)) {
        if (result === bytes) result = Buffer.from(bytes);
        overwrite.copy(result, at);
      }
    }
    return result;
  }
}

function isSpace(byte: number): boolean {
  return byte <= 32;
}
