import { ChunkedReader } from "./chunked-reader.ts";
import type { BodyFraming, BodyStep } from "./messages.ts";

/** Finds the end of one body in a stream of bytes, passing its data through as slices. */
export class BodyReader {
  readonly #framing: BodyFraming;
  readonly #chunks: ChunkedReader | undefined;
  #remaining: number;

  constructor(framing: BodyFraming) {
    this.#framing = framing;
    this.#chunks = framing.kind === "chunked" ? new ChunkedReader() : undefined;
    this.#remaining = framing.kind === "length" ? framing.bytes : 0;
  }

  push(chunk: Buffer): BodyStep {
    if (this.#chunks !== undefined) return this.#chunks.push(chunk);
    if (this.#framing.kind === "close") return more(chunk);
    if (this.#remaining > chunk.length) {
      this.#remaining -= chunk.length;
      return more(chunk);
    }
    const data = chunk.subarray(0, this.#remaining);
    const rest = chunk.subarray(this.#remaining);
    this.#remaining = 0;
    return { data: data.length > 0 ? [data] : [], state: "end", rest, trailers: [], why: undefined };
  }

  /** What the end of the connection means here. */
  end(): "complete" | "truncated" {
    if (this.#framing.kind === "close" || this.#framing.kind === "none") return "complete";
    const isWhole = this.#chunks?.isComplete ?? this.#remaining === 0;
    return isWhole ? "complete" : "truncated";
  }
}

function more(chunk: Buffer): BodyStep {
  return { data: chunk.length > 0 ? [chunk] : [], state: "more", rest: undefined, trailers: [], why: undefined };
}
