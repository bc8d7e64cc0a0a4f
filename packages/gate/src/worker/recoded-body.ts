import {
  type BrotliCompress,
  type BrotliDecompress,
  constants,
  createBrotliCompress,
  createBrotliDecompress,
  createGunzip,
  createGzip,
  createZstdCompress,
  createZstdDecompress,
  type Gunzip,
  type Gzip,
  type ZstdCompress,
  type ZstdDecompress,
} from "node:zlib";
import type { Scrubber } from "../scrub/scrubber.ts";
import type { Coding } from "./body-coding.ts";
import { RECODING_BYTES, windowBytes } from "./coding-window.ts";
import type { RecodingSlot } from "./recodings.ts";
import { ZstdFrames } from "./zstd-frames.ts";

type Decoder = Gunzip | BrotliDecompress | ZstdDecompress;
type Encoder = Gzip | BrotliCompress | ZstdCompress;

interface Codec {
  decoder(): Decoder;
  /** At the fastest level: the way to the client is short. */
  encoder(): Encoder;
  readonly flush: number;
}

const CODECS: Readonly<Record<Coding, Codec>> = {
  gzip: {
    decoder: () => createGunzip(),
    encoder: () => createGzip({ level: constants.Z_BEST_SPEED }),
    flush: constants.Z_SYNC_FLUSH,
  },
  br: {
    decoder: () => createBrotliDecompress(),
    encoder: () =>
      createBrotliCompress({
        params: { [constants.BROTLI_PARAM_QUALITY]: 1, [constants.BROTLI_PARAM_LGWIN]: 18 },
      }),
    flush: constants.BROTLI_OPERATION_FLUSH,
  },
  zstd: {
    // RFC 9659: a window of 8 MiB is what a decoder of HTTP must offer.
    decoder: () => createZstdDecompress({ params: { [constants.ZSTD_d_windowLogMax]: 23 } }),
    encoder: () => createZstdCompress({ params: { [constants.ZSTD_c_compressionLevel]: 1 } }),
    flush: constants.ZSTD_e_flush,
  },
};

// What decodes to more than this is no document but an attack on whoever decodes it.
const MAX_EXPANSION = 1_000;
const FREE_BYTES = 16 * 1_048_576;

/** What a body tells its owner. */
export interface RecodedBodyOwner {
  onRecoded(data: Buffer): void;
  /** There is room again after `isFull`. */
  onRoom(): void;
  /** Everything was handed over. */
  onWhole(): void;
  /** Nothing more comes: it is not in its coding, grows beyond all measure, or asks for more memory than there is. */
  onUnreadable(code: "gate.upstream_protocol" | "gate.overloaded"): void;
  /** Something was thrown that should not have been. */
  onFault(thrown: unknown): void;
}

/** What a body is recoded with. */
export interface Recoding {
  readonly coding: Coding;
  readonly scrubber: Scrubber;
  /** Taken for this body, which gives it back; it grows by the body's window. */
  readonly slot: RecodingSlot;
}

/**
 * One encoded body on its way to a sandbox: decoded, scrubbed and encoded again in the same coding, a piece for each
 * piece that came, in bounded memory: each side waits for the next one.
 */
export class RecodedBody implements Disposable {
  readonly #scrubber: Scrubber;
  readonly #owner: RecodedBodyOwner;
  readonly #coding: Coding;
  readonly #slot: RecodingSlot;
  readonly #flush: number;
  readonly #frames: ZstdFrames | undefined;
  readonly #decoder: Decoder;
  readonly #encoder: Encoder;
  #state: "open" | "ended" | "over" = "open";
  #bytesIn = 0;
  #bytesDecoded = 0;
  /** Pieces that the decoder has not taken whole. */
  #decoding = 0;
  #hasUnflushed = false;
  #awaitsTurn = false;

  constructor({ coding, scrubber, slot }: Recoding, owner: RecodedBodyOwner) {
    const codec = CODECS[coding];
    this.#scrubber = scrubber;
    this.#owner = owner;
    this.#coding = coding;
    this.#slot = slot;
    this.#flush = codec.flush;
    this.#frames = coding === "zstd" ? new ZstdFrames() : undefined;
    this.#decoder = codec.decoder();
    this.#encoder = codec.encoder();
    this.#decoder.on("readable", () => this.#awaitTurn());
    this.#decoder.on("drain", () => this.#guard(() => owner.onRoom()));
    this.#decoder.on("end", () => this.#guard(() => this.#onDecodedAll()));
    this.#decoder.on("error", () => this.#guard(() => this.#fail()));
    this.#encoder.on("data", (data: Buffer) => this.#guard(() => owner.onRecoded(data)));
    this.#encoder.on("drain", () => this.#awaitTurn());
    this.#encoder.on("end", () => this.#guard(() => this.#finish()));
    this.#encoder.on("error", () => this.#guard(() => this.#fail()));
  }

  /** Streams call from the event loop, where what is thrown would end the process. */
  #guard(act: () => void): void {
    if (this.#state === "over") return;
    try {
      act();
    } catch (thrown) {
      this[Symbol.dispose]();
      this.#owner.onFault(thrown);
    }
  }

  /** Whoever pushes should wait for `onRoom`. */
  get isFull(): boolean {
    return this.#state === "open" && this.#decoder.writableNeedDrain;
  }

  push(data: Buffer): void {
    if (this.#state !== "open") return;
    if (this.#bytesIn === 0 && !this.#slot.resize(RECODING_BYTES + windowBytes(this.#coding, data))) {
      return this.#fail("gate.overloaded");
    }
    const pieces = this.#frames === undefined ? [data] : this.#frames.split(data);
    if (pieces === undefined) return this.#fail();
    for (const piece of pieces) this.#decode(piece);
  }

  #decode(data: Buffer): void {
    this.#bytesIn += data.length;
    this.#decoding += 1;
    this.#decoder.write(data, () => {
      this.#decoding -= 1;
      this.#flushWhenRead();
    });
  }

  /** The body is whole; `onWhole` follows. */
  end(): void {
    if (this.#state !== "open") return;
    this.#state = "ended";
    // A coded body of no bytes at all is sent by some; there is nothing in it.
    if (this.#bytesIn === 0) this.#finish();
    else this.#decoder.end();
  }

  /** The client does not take more now. */
  pause(): void {
    this.#encoder.pause();
  }

  resume(): void {
    this.#encoder.resume();
  }

  /** What was decoded is taken when it is this run's turn, and not before the encoder has room for it. */
  #awaitTurn(): void {
    if (this.#state === "over" || this.#awaitsTurn || this.#encoder.writableNeedDrain) return;
    this.#awaitsTurn = true;
    this.#slot.takeTurn(() => {
      this.#awaitsTurn = false;
      this.#guard(() => this.#takeTurn());
    });
  }

  #takeTurn(): void {
    const data: Buffer | null = this.#decoder.read();
    if (data !== null) this.#onDecoded(data);
  }

  #onDecoded(data: Buffer): void {
    this.#bytesDecoded += data.length;
    if (this.#bytesDecoded > FREE_BYTES + MAX_EXPANSION * this.#bytesIn) return this.#fail();
    this.#encode(this.#scrubber.push(data));
    this.#flushWhenRead();
  }

  #onDecodedAll(): void {
    // What follows the end of the coding is in none: it would be lost without a word.
    if (this.#state !== "ended" || this.#decoder.bytesWritten !== this.#bytesIn) return this.#fail();
    this.#encode(this.#scrubber.end());
    this.#encoder.end();
  }

  #encode(data: Buffer): void {
    if (data.length === 0) return;
    this.#hasUnflushed = true;
    this.#encoder.write(data);
  }

  /** What came is handed over at once: an event must not wait for the next one. */
  #flushWhenRead(): void {
    if (this.#state !== "open" || !this.#hasUnflushed) return;
    if (this.#decoding > 0 || this.#decoder.readableLength > 0) return;
    this.#hasUnflushed = false;
    this.#encoder.flush(this.#flush);
  }

  #finish(): void {
    this[Symbol.dispose]();
    this.#owner.onWhole();
  }

  #fail(code: "gate.upstream_protocol" | "gate.overloaded" = "gate.upstream_protocol"): void {
    this[Symbol.dispose]();
    this.#owner.onUnreadable(code);
  }

  [Symbol.dispose](): void {
    if (this.#state === "over") return;
    this.#state = "over";
    this.#slot[Symbol.dispose]();
    this.#decoder.destroy();
    this.#encoder.destroy();
  }
}
