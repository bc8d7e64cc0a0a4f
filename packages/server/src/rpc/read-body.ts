import type { Http2ServerRequest } from "node:http2";
import { Code, ConnectError } from "@connectrpc/connect";
import { Problem } from "@gatehouse/core";
import type { Held } from "../limits/held-bytes.ts";

/** How large a message may be, and where the memory that it takes is counted. */
export interface ArrivalBounds {
  readonly maxBytes: number;
  readonly held: Held;
  /** Asked once where a body is larger: how large it may be of this caller. Fails where that is no more. */
  readonly widen?: (() => Promise<number>) | undefined;
}

/** One byte of flags and four of length stand before each message of a stream, and of gRPC. */
export const PREFIX_BYTES = 5;

/** The body of a request in one piece. Fails with `api.malformed` when it is cut off, or as the library for a long one. */
export function readBody(request: Http2ServerRequest, { maxBytes, held, ...bounds }: ArrivalBounds): Promise<Buffer> {
  const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
  const gathered = new Gathered();
  let { widen } = bounds;
  let most = maxBytes;
  const refuse = () => {
    request.off("data", onData);
    reject(tooLarge());
  };
  const onData = (chunk: Buffer): void => {
    if (gathered.bytes + chunk.length <= PREFIX_BYTES + most) {
      gathered.append(chunk);
      return held.set(gathered.bytes);
    }
    const ask = widen;
    if (ask === undefined) return refuse();
    widen = undefined;
    request.pause();
    ask().then((wider) => {
      most = wider;
      onData(chunk);
      request.resume();
    }, refuse);
  };
  request.on("data", onData);
  request.once("end", () => resolve(gathered.all));
  request.once("close", () => reject(new Problem("api.malformed", { detail: "The call was cut off." })));
  return promise;
}

/**
 * The messages of a stream, each whole with its prefix, as they come. The library looks at all that is there of a
 * message whenever a frame brings more of it: a message in frames of a byte took it minutes. Fails as the former.
 */
export async function* readEnvelopes(chunks: AsyncIterable<Buffer>, bounds: ArrivalBounds): AsyncGenerator<Buffer> {
  const envelopes = new Envelopes(bounds);
  for await (const chunk of chunks) {
    envelopes.add(chunk);
    for (let one = envelopes.take(); one !== undefined; one = envelopes.take()) yield one;
  }
  envelopes.end();
}

/** Makes envelopes of chunks, whatever their lengths. */
export class Envelopes {
  readonly #bounds: ArrivalBounds;
  readonly #gathered = new Gathered();
  /** Where the next one begins. */
  #at = 0;

  constructor(bounds: ArrivalBounds) {
    this.#bounds = bounds;
  }

  /** What is there and not taken. */
  get bytes(): number {
    return this.#gathered.bytes - this.#at;
  }

  add(chunk: Buffer): void {
    this.#gathered.append(chunk);
    this.#bounds.held.set(this.#gathered.bytes);
  }

  /** The next one once it is whole. Fails as the library for a long one, as soon as it says so. */
  take(): Buffer | undefined {
    const { all } = this.#gathered;
    const end = endOfEnvelope(all, this.#at, this.#bounds.maxBytes);
    if (end <= all.length) {
      const envelope = all.subarray(this.#at, end);
      this.#at = end;
      return envelope;
    }
    if (this.#at > 0) this.#gathered.keepFrom(this.#at);
    this.#at = 0;
    this.#bounds.held.set(this.#gathered.bytes);
    return undefined;
  }

  /** Nothing comes after what is there. Fails with `api.malformed` where that is no whole one. */
  end(): void {
    if (this.bytes > 0) throw new Problem("api.malformed", { detail: "A message is not whole." });
  }
}

/** Beyond what is there while its prefix is not. */
function endOfEnvelope(bytes: Buffer, at: number, maxBytes: number): number {
  if (bytes.length < at + PREFIX_BYTES) return at + PREFIX_BYTES;
  const length = bytes.readUInt32BE(at + 1);
  if (length > maxBytes) throw tooLarge();
  return at + PREFIX_BYTES + length;
}

function tooLarge(): ConnectError {
  return new ConnectError("message is larger than allowed", Code.ResourceExhausted);
}

/** A chunk is a frame, and may be a byte: kept as they come, they would take some two hundred times what they hold. */
class Gathered {
  #room: Buffer = Buffer.alloc(0);
  #bytes = 0;

  get bytes(): number {
    return this.#bytes;
  }

  get all(): Buffer {
    return this.#room.subarray(0, this.#bytes);
  }

  append(chunk: Buffer): void {
    const needed = this.#bytes + chunk.length;
    if (needed > this.#room.length) this.#room = Buffer.concat([this.all], Math.max(needed, 2 * this.#bytes));
    this.#room.set(chunk, this.#bytes);
    this.#bytes = needed;
  }

  /** What was given away stays as it is. */
  keepFrom(at: number): void {
    const rest = this.all.subarray(at);
    this.#room = Buffer.alloc(0);
    this.#bytes = 0;
    if (rest.length > 0) this.append(rest);
  }
}
