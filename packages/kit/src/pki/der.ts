/** DER tags that certificates need (X.690). */
export const TAG = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  oid: 0x06,
  utf8String: 0x0c,
  utcTime: 0x17,
  generalizedTime: 0x18,
  sequence: 0x30,
  set: 0x31,
} as const;

/** One element: tag, length, content. */
export function der(tag: number, ...content: readonly Uint8Array[]): Buffer {
  const length = content.reduce((sum, part) => sum + part.length, 0);
  return Buffer.concat([Buffer.from([tag]), encodeLength(length), ...content]);
}

/** A context-specific tag `[number]`, constructed or primitive. */
export function contextTag(number: number, isConstructed: boolean): number {
  return 0x80 | (isConstructed ? 0x20 : 0) | number;
}

/** An unsigned big-endian number as INTEGER: no superfluous zeros, one zero in front of a set top bit. */
export function derUnsigned(bytes: Uint8Array): Buffer {
  const start = bytes.findIndex((byte) => byte !== 0);
  const digits = start === -1 ? Uint8Array.of(0) : bytes.subarray(start);
  const sign = (digits[0] ?? 0) >= 0x80 ? [Uint8Array.of(0)] : [];
  return der(TAG.integer, ...sign, digits);
}

/** A BIT STRING that ends with `unusedBits` zero bits. */
export function derBits(bytes: Uint8Array, unusedBits: number = 0): Buffer {
  return der(TAG.bitString, Uint8Array.of(unusedBits), bytes);
}

/** A dotted object identifier. */
export function derOid(dotted: string): Buffer {
  const [first = 0, second = 0, ...rest] = dotted.split(".").map(Number);
  return der(TAG.oid, Buffer.from([first * 40 + second, ...rest.flatMap(encodeBase128)]));
}

/** A time of a certificate: UTCTime up to 2049, GeneralizedTime after (RFC 5280 §4.1.2.5). Whole seconds. */
export function derTime(unixMs: number): Buffer {
  const digits = new Date(unixMs).toISOString().replace(/[-:T]|\.\d+/g, "");
  const isShort = new Date(unixMs).getUTCFullYear() < 2050;
  return der(isShort ? TAG.utcTime : TAG.generalizedTime, Buffer.from(isShort ? digits.slice(2) : digits));
}

/** One element as it was found. `whole` includes tag and length. */
export interface DerElement {
  readonly tag: number;
  readonly whole: Buffer;
  readonly content: Buffer;
}

/** Takes a constructed element's content apart. Throws on lengths that lead outside. */
export function readElements(content: Buffer): readonly DerElement[] {
  const elements: DerElement[] = [];
  for (let offset = 0; offset < content.length; ) {
    const element = readElement(content, offset);
    elements.push(element);
    offset += element.whole.length;
  }
  return elements;
}

/** Reads the element at `offset`. */
export function readElement(data: Buffer, offset: number = 0): DerElement {
  const first = data.readUInt8(offset + 1);
  const lengthBytes = first < 0x80 ? 0 : first & 0x7f;
  if (lengthBytes > 4) throw new RangeError("a DER length is too long");
  const length = lengthBytes === 0 ? first : data.readUIntBE(offset + 2, lengthBytes);
  const start = offset + 2 + lengthBytes;
  if (first === 0x80 || start + length > data.length) throw new RangeError("a DER length leads outside");
  return {
    tag: data.readUInt8(offset),
    whole: data.subarray(offset, start + length),
    content: data.subarray(start, start + length),
  };
}

function encodeLength(length: number): Buffer {
  if (length < 0x80) return Buffer.from([length]);
  const digits: number[] = [];
  for (let rest = length; rest > 0; rest = Math.floor(rest / 256)) digits.unshift(rest % 256);
  return Buffer.from([0x80 | digits.length, ...digits]);
}

function encodeBase128(value: number): readonly number[] {
  const digits = [value % 128];
  for (let rest = Math.floor(value / 128); rest > 0; rest = Math.floor(rest / 128)) digits.unshift(0x80 | (rest % 128));
  return digits;
}
