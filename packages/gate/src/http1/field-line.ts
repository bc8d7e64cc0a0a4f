import type { Field, FramingRefusal } from "./messages.ts";

/** Bytes, and the same as latin1 text: bytes are quicker to judge, text is quicker to cut. */
export interface HeadText {
  readonly bytes: Buffer;
  readonly text: string;
}

const TOKEN = 1;
const VALUE = 2;
const COLON = 58;

/** What each byte may be part of: a name (RFC 9110 §5.6.2), a value (§5.5). */
const KINDS = Uint8Array.from({ length: 256 }, (_, code) => {
  const isToken = /[!#$%&'*+\-.^_`|~0-9A-Za-z]/.test(String.fromCharCode(code));
  const isValue = code === 9 || (code >= 0x20 && code !== 0x7f);
  return (isToken ? TOKEN : 0) | (isValue ? VALUE : 0);
});

/**
 * Reads one field line, a range without its CRLF, strictly (RFC 9112 §5): no folding, no space before the colon, no
 * control characters.
 */
export function parseFieldLine({ bytes, text }: HeadText, from: number, end: number): Field | FramingRefusal {
  const colon = skip(bytes, { from, end, kind: TOKEN });
  if (colon === from || bytes[colon] !== COLON) return isSpace(bytes[from]) ? "folded field" : "malformed field name";
  let start = colon + 1;
  let stop = end;
  while (start < stop && isSpace(bytes[start])) start += 1;
  while (stop > start && isSpace(bytes[stop - 1])) stop -= 1;
  if (skip(bytes, { from: start, end: stop, kind: VALUE }) < stop) return "malformed field value";
  const name = text.slice(from, colon);
  return { name, lowerName: name.toLowerCase(), value: text.slice(start, stop) };
}

interface Range {
  readonly from: number;
  readonly end: number;
  readonly kind: number;
}

/** Where the first byte of another kind stands. */
function skip(bytes: Buffer, { from, end, kind }: Range): number {
  let at = from;
  while (at < end && ((KINDS[bytes[at] ?? 0] ?? 0) & kind) !== 0) at += 1;
  return at;
}

function isSpace(byte: number | undefined): boolean {
  return byte === 32 || byte === 9;
}
