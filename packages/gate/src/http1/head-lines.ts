import type { HeadText } from "./field-line.ts";
import type { FramingRefusal } from "./messages.ts";

const CR = 13;
const LF = 10;
const EMPTY_LINE = "\r\n";
const END = Buffer.from("\r\n\r\n");
const FIRST_PART_BYTES = 512;

/** Takes the lines of a head as they become whole. */
export interface LineSink {
  /** One line, without its CRLF: a range of `head`. */
  takeLine(head: HeadText, from: number, end: number): FramingRefusal | undefined;
}

/** `end`: the empty line was read; what follows begins at `next` of the pushed chunk. */
export type LinesStep =
  | { readonly kind: "more" }
  | { readonly kind: "end"; readonly next: number }
  | { readonly kind: "refused"; readonly why: FramingRefusal };

const MORE: LinesStep = { kind: "more" };

/**
 * Cuts a stream of bytes into lines up to an empty one. Each byte is looked at a constant number of times and copied at
 * most twice, however the stream is split; only an unfinished line is kept. Lines are judged in the order of the
 * stream, so the outcome does not depend on the split either.
 */
export class HeadLines {
  readonly #maxBytes: number;
  readonly #tooLarge: FramingRefusal;
  #part: Buffer | undefined;
  #partBytes = 0;
  #takenBytes = 0;

  constructor(limit: { readonly maxBytes: number; readonly tooLarge: FramingRefusal }) {
    this.#maxBytes = limit.maxBytes;
    this.#tooLarge = limit.tooLarge;
  }

  /** No byte of a next head was seen. */
  get isEmpty(): boolean {
    return this.#takenBytes === 0 && this.#partBytes === 0;
  }

  /** How much of a head was seen that is not whole. */
  get heldBytes(): number {
    return this.#takenBytes + this.#partBytes;
  }

  push(chunk: Buffer, sink: LineSink): LinesStep {
    // The common case: the whole head is here, and becomes text at once. What begins with an empty line is no head, and
    // the end that would be found is that of something behind it.
    if (this.isEmpty && chunk[0] !== CR) {
      const end = chunk.indexOf(END);
      if (end >= 0 && end + END.length <= this.#maxBytes) return takeWhole(chunk, end, sink);
    }
    return this.#takeLines(chunk, sink);
  }

  reset(): void {
    this.#part = undefined;
    this.#partBytes = 0;
    this.#takenBytes = 0;
  }

  #takeLines(chunk: Buffer, sink: LineSink): LinesStep {
    let at = 0;
    while (at < chunk.length) {
      const feed = chunk.indexOf(LF, at);
      const next = feed < 0 ? chunk.length : feed + 1;
      if (this.#takenBytes + this.#partBytes + next - at > this.#maxBytes) {
        return { kind: "refused", why: this.#tooLarge };
      }
      if (feed < 0) {
        this.#keep(chunk, at);
        return MORE;
      }
      const bytes = this.#completeLine(chunk, at, next);
      at = next;
      const text = bytes.toString("latin1");
      if (text === EMPTY_LINE) {
        this.reset();
        return { kind: "end", next };
      }
      const why = judgeLine({ bytes, text }, { from: 0, feed: text.length - 1 }, sink);
      if (why !== undefined) return { kind: "refused", why };
    }
    return MORE;
  }

  /** The line that ends before `next`, with the part of it that came earlier. */
  #completeLine(chunk: Buffer, from: number, next: number): Buffer {
    let line = chunk.subarray(from, next);
    if (this.#part !== undefined) line = Buffer.concat([this.#part.subarray(0, this.#partBytes), line]);
    this.#part = undefined;
    this.#partBytes = 0;
    this.#takenBytes += line.length;
    return line;
  }

  /** Keeps an unfinished line. Room doubles, so that many small pushes cost no more than one large one. */
  #keep(chunk: Buffer, from: number): void {
    const bytes = this.#partBytes + chunk.length - from;
    let part = this.#part;
    if (part === undefined || part.length < bytes) {
      const larger = Buffer.allocUnsafeSlow(Math.max(FIRST_PART_BYTES, 2 ** Math.ceil(Math.log2(bytes))));
      part?.copy(larger, 0, 0, this.#partBytes);
      this.#part = larger;
      part = larger;
    }
    chunk.copy(part, this.#partBytes, from);
    this.#partBytes = bytes;
  }
}

function takeWhole(bytes: Buffer, end: number, sink: LineSink): LinesStep {
  const text = bytes.toString("latin1", 0, end + EMPTY_LINE.length);
  const head = { bytes, text };
  for (let from = 0; from < text.length; ) {
    const feed = text.indexOf("\n", from);
    const why = judgeLine(head, { from, feed }, sink);
    if (why !== undefined) return { kind: "refused", why };
    from = feed + 1;
  }
  return { kind: "end", next: end + END.length };
}

function judgeLine(
  head: HeadText,
  line: { readonly from: number; readonly feed: number },
  sink: LineSink,
): FramingRefusal | undefined {
  const end = line.feed - 1;
  if (end < line.from || head.bytes[end] !== CR) return "bare line feed";
  const why = sink.takeLine(head, line.from, end);
  if (why === undefined) return undefined;
  return head.text.indexOf("\r", line.from) < end ? "bare carriage return" : why;
}
