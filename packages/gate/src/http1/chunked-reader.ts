import { parseFields } from "./head-text.ts";
import { type BodyStep, type Field, type FramingRefusal, HEAD_LIMITS } from "./messages.ts";

const CR = 13;
const LF = 10;
const SIZE = /^[0-9A-Fa-f]{1,13}$/;
// Fields that would change framing, routing or rights after the head was judged (RFC 9110 §6.5.1).
const FORBIDDEN_TRAILERS =
  /^(?:transfer-encoding|content-length|content-encoding|content-type|content-range|host|trailer|te|connection|upgrade|expect|range|authorization|proxy-.*|cookie|set-cookie.*|www-authenticate|location|age|cache-control|expires|date|vary|if-.*|max-forwards|forwarded|x-forwarded-.*)$/;

type State = "size" | "data" | "data-end" | "trailer" | "end" | "refused";

/** Reads a chunked body incrementally (RFC 9112 §7.1). Data are slices of the input; lines are kept within bounds. */
export class ChunkedReader {
  #state: State = "size";
  #line = "";
  #remaining = 0;
  #trailerBytes = 0;
  readonly #trailerLines: string[] = [];
  #trailers: readonly Field[] = [];
  #why: FramingRefusal | undefined;

  push(chunk: Buffer): BodyStep {
    const data: Buffer[] = [];
    let at = 0;
    while (at < chunk.length && this.#state !== "end" && this.#state !== "refused") {
      if (this.#state === "data") {
        const piece = chunk.subarray(at, at + this.#remaining);
        data.push(piece);
        at += piece.length;
        this.#remaining -= piece.length;
        if (this.#remaining === 0) this.#state = "data-end";
      } else at = this.#takeLine(chunk, at);
    }
    return this.#step(data, chunk, at);
  }

  get isComplete(): boolean {
    return this.#state === "end";
  }

  #step(data: readonly Buffer[], chunk: Buffer, at: number): BodyStep {
    if (this.#state === "refused") return { data, state: "refused", rest: undefined, trailers: [], why: this.#why };
    if (this.#state !== "end") return { data, state: "more", rest: undefined, trailers: [], why: undefined };
    return { data, state: "end", rest: chunk.subarray(at), trailers: this.#trailers, why: undefined };
  }

  /** Adds bytes up to the next CRLF to the line, and acts on it when it is whole. */
  #takeLine(chunk: Buffer, from: number): number {
    const end = chunk.indexOf(LF, from);
    const stop = end < 0 ? chunk.length : end + 1;
    if (this.#line.length + stop - from > this.#maxLineBytes()) return this.#refuse("chunk line too long", chunk);
    this.#line += chunk.toString("latin1", from, stop);
    if (end < 0) return stop;
    const line = this.#line;
    this.#line = "";
    if (line.charCodeAt(line.length - 2) !== CR) return this.#refuse("bare line feed", chunk);
    const text = line.slice(0, -2);
    if (text.includes("\r")) return this.#refuse("bare carriage return", chunk);
    const why = this.#act(text);
    return why === undefined ? stop : this.#refuse(why, chunk);
  }

  #maxLineBytes(): number {
    if (this.#state === "data-end") return 2;
    return this.#state === "size" ? HEAD_LIMITS.maxChunkExtensionBytes + 16 : HEAD_LIMITS.maxTrailerBytes;
  }

  #act(text: string): FramingRefusal | undefined {
    if (this.#state === "data-end") {
      this.#state = "size";
      return text === "" ? undefined : "chunk without end";
    }
    return this.#state === "size" ? this.#beginChunk(text) : this.#takeTrailer(text);
  }

  #beginChunk(text: string): FramingRefusal | undefined {
    const semicolon = text.indexOf(";");
    const size = semicolon < 0 ? text : text.slice(0, semicolon);
    if (!SIZE.test(size)) return "malformed chunk size";
    this.#remaining = Number.parseInt(size, 16);
    this.#state = this.#remaining === 0 ? "trailer" : "data";
    return undefined;
  }

  #takeTrailer(text: string): FramingRefusal | undefined {
    if (text !== "") {
      this.#trailerBytes += text.length + 2;
      this.#trailerLines.push(text);
      return this.#trailerBytes > HEAD_LIMITS.maxTrailerBytes ? "trailers too large" : undefined;
    }
    const trailers = parseFields(this.#trailerLines, 0);
    if (typeof trailers === "string") return trailers;
    if (trailers.some(({ lowerName }) => FORBIDDEN_TRAILERS.test(lowerName))) return "forbidden trailer";
    this.#trailers = trailers;
    this.#state = "end";
    return undefined;
  }

  #refuse(why: FramingRefusal, chunk: Buffer): number {
    this.#state = "refused";
    this.#why = why;
    return chunk.length;
  }
}
