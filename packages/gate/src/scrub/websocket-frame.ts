const FINAL = 0x80;
const EXTENSION_BITS = 0x70;
const OPCODE = 0x0f;
const MASKED = 0x80;
const BASE_BYTES = 2;
const MAX_HEADER_BYTES = 10;
const MAX_CONTROL_BYTES = 125;
const LENGTH_16 = 126;
const LENGTH_64 = 127;

type FrameKind = "continuation" | "message" | "control";
const KINDS: Readonly<Record<number, FrameKind>> = {
  0: "continuation",
  1: "message",
  2: "message",
  8: "control",
  9: "control",
  10: "control",
};

/** What a frame's header says; `header` are its bytes. */
export interface Frame {
  readonly kind: FrameKind;
  readonly isFinal: boolean;
  readonly bytes: number;
  readonly header: Buffer;
}

/** Reads the header of one frame after the other as a service sends them: without a mask and extensions (RFC 6455 §5.2). */
export class FrameHeaderReader {
  readonly #bytes = Buffer.alloc(MAX_HEADER_BYTES);
  #size = 0;

  /** How many bytes of the chunk belong to the header, and the frame once it is whole; `refused`: it is none. */
  push(chunk: Buffer): { readonly taken: number; readonly frame: Frame | "refused" | undefined } {
    let taken = this.#take(chunk, 0, BASE_BYTES);
    if (this.#size < BASE_BYTES) return { taken, frame: undefined };
    const whole = BASE_BYTES + extendedBytes(this.#bytes);
    taken += this.#take(chunk, taken, whole);
    if (this.#size < whole) return { taken, frame: undefined };
    this.#size = 0;
    return { taken, frame: readFrame(Buffer.from(this.#bytes.subarray(0, whole))) };
  }

  /** Copies until there are `upTo` bytes of the header. */
  #take(chunk: Buffer, from: number, upTo: number): number {
    const count = Math.max(0, Math.min(upTo - this.#size, chunk.length - from));
    chunk.copy(this.#bytes, this.#size, from, from + count);
    this.#size += count;
    return count;
  }
}

function extendedBytes(header: Buffer): number {
  const length = (header[1] ?? 0) & ~MASKED;
  if (length === LENGTH_64) return 8;
  return length === LENGTH_16 ? 2 : 0;
}

function readFrame(header: Buffer): Frame | "refused" {
  const [first = 0, second = 0] = header;
  const kind = KINDS[first & OPCODE];
  const isFinal = (first & FINAL) !== 0;
  const bytes = statedBytes(header);
  const isUnreadable = (first & EXTENSION_BITS) !== 0 || (second & MASKED) !== 0 || !Number.isSafeInteger(bytes);
  if (kind === undefined || isUnreadable) return "refused";
  if (kind === "control" && (!isFinal || bytes > MAX_CONTROL_BYTES)) return "refused";
  return { kind, isFinal, bytes, header };
}

function statedBytes(header: Buffer): number {
  if (header.length === BASE_BYTES) return header[1] ?? 0;
  return header.length === BASE_BYTES + 2 ? header.readUInt16BE(2) : Number(header.readBigUInt64BE(2));
}
