const FRAME_MAGIC = 0xfd2fb528;
const SKIPPABLE_MAGIC = 0x184d2a50;
const SKIPPABLE_BITS = 0xf;
const MAGIC_BYTES = 4;
const DESCRIPTOR_BYTES = MAGIC_BYTES + 1;
const SKIPPABLE_HEADER_BYTES = MAGIC_BYTES + 4;
const BLOCK_HEADER_BYTES = 3;
const CHECKSUM_BYTES = 4;
const MAX_HEADER_BYTES = 18;
const DICTIONARY_BYTES = [0, 1, 2, 4];
const SIZE_BYTES = [0, 2, 4, 8];
const SINGLE_SEGMENT = 0x20;
const RESERVED = 0x08;
const CHECKSUM = 0x04;
const RUN_LENGTH_BLOCK = 1;
const RESERVED_BLOCK = 3;

type Part = "frame header" | "block header";

/**
 * Where one frame of zstd ends and the next begins (RFC 8878 §3.1). A decoder takes one frame at a time: what follows its
 * end in the same piece is dropped or decoded by chance.
 */
export class ZstdFrames {
  readonly #bytes = Buffer.alloc(MAX_HEADER_BYTES);
  #size = 0;
  #part: Part = "frame header";
  /** Bytes of a block, a checksum or a skippable frame that are still to come. */
  #left = 0;
  #endsFrame = false;
  #hasChecksum = false;

  /** The chunk in pieces of which none holds bytes of two frames; `undefined`: it is not in zstd. */
  split(chunk: Buffer): readonly Buffer[] | undefined {
    const pieces: Buffer[] = [];
    let from = 0;
    let at = 0;
    while (at < chunk.length) {
      if (this.#left === 0) {
        const taken = this.#readHeader(chunk, at);
        if (taken === undefined) return undefined;
        at += taken;
      }
      const passed = Math.min(this.#left, chunk.length - at);
      this.#left -= passed;
      at += passed;
      if (this.#left === 0 && this.#endsFrame) {
        this.#endsFrame = false;
        pieces.push(chunk.subarray(from, at));
        from = at;
      }
    }
    if (from < chunk.length) pieces.push(chunk.subarray(from));
    return pieces;
  }

  /** How many bytes of the chunk belong to the header that is read; `undefined`: it is none. */
  #readHeader(chunk: Buffer, at: number): number | undefined {
    let taken = 0;
    for (let needed = this.#needed; this.#size < needed; needed = this.#needed) {
      const byte = chunk[at + taken];
      if (byte === undefined) return taken;
      this.#bytes[this.#size] = byte;
      this.#size += 1;
      taken += 1;
    }
    this.#size = 0;
    const isRead = this.#part === "frame header" ? this.#beginFrame() : this.#beginBlock();
    return isRead ? taken : undefined;
  }

  /** How long the header is, as far as its bytes say. */
  get #needed(): number {
    if (this.#part === "block header") return BLOCK_HEADER_BYTES;
    if (this.#size < DESCRIPTOR_BYTES) return DESCRIPTOR_BYTES;
    return this.#isSkippable ? SKIPPABLE_HEADER_BYTES : DESCRIPTOR_BYTES + descriptorFields(this.#descriptor);
  }

  get #isSkippable(): boolean {
    return (this.#bytes.readUInt32LE(0) & ~SKIPPABLE_BITS) >>> 0 === SKIPPABLE_MAGIC;
  }

  get #descriptor(): number {
    return this.#bytes[MAGIC_BYTES] ?? 0;
  }

  #beginFrame(): boolean {
    if (this.#isSkippable) {
      this.#left = this.#bytes.readUInt32LE(MAGIC_BYTES);
      this.#endsFrame = true;
      return true;
    }
    this.#part = "block header";
    this.#hasChecksum = (this.#descriptor & CHECKSUM) !== 0;
    return this.#bytes.readUInt32LE(0) === FRAME_MAGIC && (this.#descriptor & RESERVED) === 0;
  }

  #beginBlock(): boolean {
    const header = this.#bytes.readUIntLE(0, BLOCK_HEADER_BYTES);
    const kind = (header >> 1) & 3;
    this.#left = kind === RUN_LENGTH_BLOCK ? 1 : header >> 3;
    this.#endsFrame = (header & 1) === 1;
    if (this.#endsFrame) {
      this.#part = "frame header";
      if (this.#hasChecksum) this.#left += CHECKSUM_BYTES;
    }
    return kind !== RESERVED_BLOCK;
  }
}

/** What follows a frame's descriptor: its window, which dictionary it needs, and the size of its content. */
function descriptorFields(descriptor: number): number {
  const isSingle = (descriptor & SINGLE_SEGMENT) !== 0;
  const sizeFlag = descriptor >> 6;
  const size = sizeFlag === 0 && isSingle ? 1 : (SIZE_BYTES[sizeFlag] ?? 0);
  return (isSingle ? 0 : 1) + (DICTIONARY_BYTES[descriptor & 3] ?? 0) + size;
}
