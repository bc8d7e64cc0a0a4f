/** One field: text (UTF-8, NFC), raw bytes, an integer (8 bytes big-endian), or a list (a tuple of its own). */
export type TupleField = string | Uint8Array | bigint | number | readonly TupleField[];

const encoder = new TextEncoder();

/**
 * The bytes that are signed or bound: each field is a u32 big-endian length and its bytes, the first is the domain.
 * Text that is not well-formed or not NFC, and integers outside 0…2⁶³−1, are refused, never repaired (RangeError:
 * callers validate before).
 */
export function encodeTuple(domain: string, ...fields: readonly TupleField[]): Uint8Array {
  return encodeList([domain, ...fields]);
}

function encodeList(fields: readonly TupleField[]): Uint8Array {
  const parts = fields.map(encodeField);
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + 4 + part.length, 0));
  const view = new DataView(bytes.buffer);
  let offset = 0;
  for (const part of parts) {
    view.setUint32(offset, part.length);
    bytes.set(part, offset + 4);
    offset += 4 + part.length;
  }
  return bytes;
}

function encodeField(field: TupleField): Uint8Array {
  if (typeof field === "string") return encodeText(field);
  if (typeof field === "number" || typeof field === "bigint") return encodeInteger(field);
  return field instanceof Uint8Array ? field : encodeList(field);
}

function encodeText(text: string): Uint8Array {
  if (!text.isWellFormed() || text.normalize("NFC") !== text) throw new RangeError("text is not well-formed NFC");
  return encoder.encode(text);
}

function encodeInteger(value: number | bigint): Uint8Array {
  if (typeof value === "number" && !Number.isSafeInteger(value)) throw new RangeError("not a safe integer");
  const integer = BigInt(value);
  if (integer < 0n || integer >= 1n << 63n) throw new RangeError("integer out of range");
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, integer);
  return bytes;
}
