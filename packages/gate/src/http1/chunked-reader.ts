import { HeadLines } from "./head-lines.ts";
import { type BodyStep, type FramingRefusal, HEAD_LIMITS } from "./messages.ts";
import { TrailerSink } from "./trailer-sink.ts";

const TAB = 9;
const LF = 10;
const CR = 13;
const SPACE = 32;
const SEMICOLON = 59;
const DELETE = 127;
const MAX_SIZE_DIGITS = 15;
const TRAILER_LIMIT = { maxBytes: HEAD_LIMITS.maxTrailerBytes + 2, tooLarge: "trailers too large" };

/** Where in a chunk the reader stands, after the bytes that it has seen. */
type State = "size" | "extension" | "size-feed" | "data" | "data-return" | "data-feed" | "trailers" | "end" | "refused";

/**
 * Reads a chunked body incrementally (RFC 9112 §7.1), byte by byte between the data, which are slices of the input.
 * Extensions are dropped. After the end or a refusal it reads nothing more.
 */
export class ChunkedReader {
  #state: State = "size";
  #digits = 0;
  #extensionBytes = 0;
  /** Of the chunk being read. */
  #remaining = 0;
  #trailerLines: HeadLines | undefined;
  readonly #trailers = new TrailerSink();
  #why: FramingRefusal | undefined;

  get isComplete(): boolean {
    return this.#state === "end";
  }

  push(chunk: Buffer): BodyStep {
    const data: Buffer[] = [];
    let at = 0;
    while (at < chunk.length && this.#state !== "end" && this.#state !== "refused") {
      if (this.#state === "data") {
        const piece = chunk.subarray(at, at + this.#remaining);
        data.push(piece);
        at += piece.length;
        this.#remaining -= piece.length;
        if (this.#remaining === 0) this.#state = "data-return";
      } else if (this.#state === "trailers") at += this.#readTrailers(chunk.subarray(at));
      else {
        this.#readByte(chunk[at] ?? 0);
        at += 1;
      }
    }
    return this.#step(data, chunk, at);
  }

  #step(data: readonly Buffer[], chunk: Buffer, at: number): BodyStep {
    if (this.#state === "refused") return { data, state: "refused", rest: undefined, trailers: [], why: this.#why };
    if (this.#state !== "end") return { data, state: "more", rest: undefined, trailers: [], why: undefined };
    return { data, state: "end", rest: chunk.subarray(at), trailers: this.#trailers.fields, why: undefined };
  }

  #readByte(byte: number): void {
    switch (this.#state) {
      case "size":
        return this.#readSize(byte);
      case "extension":
        return this.#readExtension(byte);
      case "size-feed":
        return this.#expect(byte, LF, this.#remaining === 0 ? "trailers" : "data");
      case "data-return":
        return this.#expect(byte, CR, "data-feed");
      default:
        return this.#expect(byte, LF, "size");
    }
  }

  #readSize(byte: number): void {
    const digit = hexDigit(byte);
    if (digit >= 0) {
      this.#digits += 1;
      this.#remaining = this.#remaining * 16 + digit;
      const isTooLarge = this.#digits > MAX_SIZE_DIGITS || this.#remaining > Number.MAX_SAFE_INTEGER;
      if (isTooLarge) this.#refuse("chunk too large");
    } else if (this.#digits > 0 && byte === CR) this.#endSize();
    else if (this.#digits > 0 && byte === SEMICOLON) this.#state = "extension";
    else this.#refuse(byte === LF ? "bare line feed" : "malformed chunk size");
  }

  #readExtension(byte: number): void {
    this.#extensionBytes += 1;
    if (byte === CR) this.#endSize();
    else if (byte === LF) this.#refuse("bare line feed");
    else if ((byte < SPACE && byte !== TAB) || byte >= DELETE) this.#refuse("malformed chunk extension");
    else if (this.#extensionBytes > HEAD_LIMITS.maxChunkExtensionBytes) this.#refuse("chunk extension too long");
  }

  #endSize(): void {
    this.#state = "size-feed";
    this.#digits = 0;
    this.#extensionBytes = 0;
  }

  #expect(byte: number, expected: number, next: State): void {
    if (byte === expected) this.#state = next;
    else if (expected === LF) this.#refuse("bare carriage return");
    else this.#refuse("chunk longer than its size");
  }

  /** How many bytes belong to the trailers. */
  #readTrailers(bytes: Buffer): number {
    this.#trailerLines ??= new HeadLines(TRAILER_LIMIT);
    const step = this.#trailerLines.push(bytes, this.#trailers);
    if (step.kind === "more") return bytes.length;
    if (step.kind === "refused") {
      this.#refuse(step.why);
      return bytes.length;
    }
    this.#state = "end";
    return step.next;
  }

  #refuse(why: FramingRefusal): void {
    this.#state = "refused";
    this.#why = why;
  }
}

/** −1 when the byte is none. */
function hexDigit(byte: number): number {
  if (byte >= 48 && byte <= 57) return byte - 48;
  const lower = byte | 32;
  return lower >= 97 && lower <= 102 ? lower - 87 : -1;
}
