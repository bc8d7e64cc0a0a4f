/** A text as its reader would take it: one byte for each character, escaped or not. */
export class Reading {
  readonly bytes: Buffer;
  /** Pairs of an index in `bytes` and the offset in the text that it stands for, from where both go on alike. */
  readonly #places: readonly number[];

  constructor(bytes: Buffer, places: readonly number[]) {
    this.bytes = bytes;
    this.#places = places;
  }

  /** Where in the text the character at `index` begins. */
  offsetOf(index: number): number {
    const at = this.#lastPair(0, index);
    return (this.#places[at + 1] ?? 0) + index - (this.#places[at] ?? 0);
  }

  /** Which character begins at `offset`, where one does. */
  indexOf(offset: number): number {
    const at = this.#lastPair(1, offset);
    return (this.#places[at] ?? 0) + offset - (this.#places[at + 1] ?? 0);
  }

  /** Where the last pair stands whose `side` is not beyond `position`. */
  #lastPair(side: 0 | 1, position: number): number {
    let low = 0;
    let high = this.#places.length / 2 - 1;
    while (low < high) {
      const middle = (low + high + 1) >>> 1;
      if ((this.#places[2 * middle + side] ?? 0) <= position) low = middle;
      else high = middle - 1;
    }
    return 2 * low;
  }
}

const PERCENT = 0x25;
const AMPERSAND = 0x26;
const SEMICOLON = 0x3b;
const BACKSLASH = 0x5c;
const MARKS = new Uint8Array(256);
for (const mark of [PERCENT, AMPERSAND, BACKSLASH]) MARKS[mark] = 1;
/** Stands for every character that is no byte: no value holds one. */
const OTHER = 0xff;

// What is at a place where an escape could begin: its length above, its byte below; or one of these.
const NO_ESCAPE = 0;
const UNFINISHED = -1;

/**
 * Reads `%2F`, `\u002f`, `\x2f`, `\/` and `&#x2F;`, `&#47;`, `&sol;` in a text, any mix of them. `undefined` when there
 * is nothing of the kind. Whatever is no whole escape stands for itself; at the end of a text that goes on it is left.
 */
export function readEscapes(text: Buffer, isWhole: boolean): Reading | undefined {
  if (!hasMark(text)) return undefined;
  const bytes = Buffer.allocUnsafe(text.length);
  const places: number[] = [0, 0];
  let from = copyPlain(text, bytes, 0, 0);
  let size = from;
  while (from < text.length) {
    const found = escapeAt(text, from);
    if (found === UNFINISHED && !isWhole) break;
    const length = found <= NO_ESCAPE ? 1 : found >>> 8;
    bytes[size] = found <= NO_ESCAPE ? (text[from] ?? 0) : found & 0xff;
    size += 1;
    from += length;
    if (length > 1) places.push(size, from);
    const plain = copyPlain(text, bytes, from, size);
    from += plain;
    size += plain;
  }
  return new Reading(bytes.subarray(0, size), places);
}

function hasMark(text: Buffer): boolean {
  return text.includes(PERCENT) || text.includes(BACKSLASH) || text.includes(AMPERSAND);
}

/** Copies up to where the next escape could begin; how many bytes those are. */
// biome-ignore lint/complexity/useMaxParams: an object for each stretch would cost more than the copy.
function copyPlain(text: Buffer, to: Buffer, from: number, size: number): number {
  const { length } = text;
  let at = from;
  for (let into = size; at < length; at += 1, into += 1) {
    const byte = text[at] ?? 0;
    if (MARKS[byte] !== 0) break;
    to[into] = byte;
  }
  return at - from;
}

function escapeAt(text: Buffer, at: number): number {
  switch (text[at]) {
    case PERCENT:
      return hexEscape(text, at, { from: at + 1, digits: 2 });
    case BACKSLASH:
      return backslashEscape(text, at);
    case AMPERSAND:
      return entity(text, at);
    default:
      return NO_ESCAPE;
  }
}

/** A fixed number of hexadecimal digits. */
function hexEscape(
  text: Buffer,
  at: number,
  { from, digits }: { readonly from: number; readonly digits: number },
): number {
  let value = 0;
  for (let place = from; place < from + digits; place += 1) {
    if (place >= text.length) return UNFINISHED;
    const digit = hexDigit(text[place] ?? 0);
    if (digit < 0) return NO_ESCAPE;
    value = value * 16 + digit;
  }
  return escapeOf(from + digits - at, value);
}

const SIMPLE: Readonly<Record<number, number>> = { 98: 8, 102: 12, 110: 10, 114: 13, 116: 9 };
const LETTER_U = 0x75;
const LETTER_X = 0x78;

function backslashEscape(text: Buffer, at: number): number {
  const letter = text[at + 1];
  if (letter === undefined) return UNFINISHED;
  if (letter === LETTER_U || letter === LETTER_X) {
    const found = hexEscape(text, at, { from: at + 2, digits: letter === LETTER_U ? 4 : 2 });
    if (found !== NO_ESCAPE) return found;
  }
  return escapeOf(2, SIMPLE[letter] ?? letter);
}

const MAX_ENTITY_BYTES = 10;
/** The ASCII characters that have names (HTML, named character references). */
const NAMED: ReadonlyMap<string, string> = new Map(
  Object.entries({
    amp: "&",
    lt: "<",
    gt: ">",
    quot: '"',
    apos: "'",
    Tab: "\t",
    NewLine: "\n",
    excl: "!",
    num: "#",
    dollar: "$",
    percnt: "%",
    lpar: "(",
    rpar: ")",
    ast: "*",
    plus: "+",
    comma: ",",
    period: ".",
    sol: "/",
    colon: ":",
    semi: ";",
    equals: "=",
    quest: "?",
    commat: "@",
    lsqb: "[",
    bsol: "\\",
    rsqb: "]",
    Hat: "^",
    lowbar: "_",
    grave: "`",
    lcub: "{",
    verbar: "|",
    rcub: "}",
  }),
);

/** A character reference of HTML, with its semicolon. */
function entity(text: Buffer, at: number): number {
  const limit = Math.min(text.length, at + MAX_ENTITY_BYTES);
  let end = at + 1;
  while (end < limit && isOfEntity(text[end] ?? 0)) end += 1;
  if (end === text.length && end < at + MAX_ENTITY_BYTES) return UNFINISHED;
  if (text[end] !== SEMICOLON) return NO_ESCAPE;
  const name = text.toString("latin1", at + 1, end);
  const value = name.startsWith("#") ? numericEntity(name) : NAMED.get(name)?.charCodeAt(0);
  return value === undefined ? NO_ESCAPE : escapeOf(end + 1 - at, value);
}

function numericEntity(name: string): number | undefined {
  const [, hex, decimal] = /^#(?:[xX]([0-9a-fA-F]+)|([0-9]+))$/.exec(name) ?? [];
  if (hex !== undefined) return Number.parseInt(hex, 16);
  return decimal === undefined ? undefined : Number.parseInt(decimal, 10);
}

const HASH = 0x23;

function isOfEntity(byte: number): boolean {
  const lower = byte | 0x20;
  return (lower >= 0x61 && lower <= 0x7a) || (byte >= 0x30 && byte <= 0x39) || byte === HASH;
}

function hexDigit(byte: number): number {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30;
  const lower = byte | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : -1;
}

function escapeOf(length: number, code: number): number {
  return (length << 8) | (code <= 0xff ? code : OTHER);
}
