/** What an entry or head may hold: no fractions, no exponents, no `undefined`. */
export type JsonValue =
  | string
  | number
  | boolean
  | null
  | readonly JsonValue[]
  | { readonly [name: string]: JsonValue };

const PLAIN = /^[\x20-\x7e]*$/;
/** What stands in JSON as it is: by far the most of what is logged. */
const UNESCAPED = /^[ !#-[\]-~]*$/;

/**
 * The RFC 8785 (JCS) text of a value: one value, one text. Narrower than the RFC where two readers could differ: numbers
 * are safe integers, text is well-formed and NFC. What is not is refused, never repaired (RangeError: callers validate
 * before).
 */
export function canonicalJson(value: JsonValue): string {
  if (isInOrder(value)) {
    // By far the most: ECMAScript's text is the canonical one where nothing is to be sorted and all text is ASCII. It
    // writes a lone surrogate, too, in ASCII.
    const text = JSON.stringify(value);
    if (PLAIN.test(text) && !text.includes("\\ud")) return text;
  }
  return canonicalParts(value);
}

/** Nothing in it is to be sorted or refused, its text apart. */
function isInOrder(value: JsonValue | undefined): boolean {
  if (typeof value === "string" || typeof value === "boolean" || value === null) return true;
  if (typeof value === "number") return isCanonicalInteger(value);
  if (value === undefined) return false;
  if (isList(value)) return value.every(isInOrder);
  let last = "";
  for (const name of Object.keys(value)) {
    if (name < last || !isInOrder(value[name])) return false;
    last = name;
  }
  return true;
}

function canonicalParts(value: JsonValue): string {
  if (typeof value === "string") return canonicalText(value);
  if (typeof value === "number") return canonicalInteger(value);
  if (value === null || typeof value === "boolean") return String(value);
  if (isList(value)) return `[${value.map(canonicalParts).join(",")}]`;
  let text = "";
  for (const name of sortedNames(value)) {
    const member = value[name];
    if (member === undefined) throw new RangeError("a member has no value");
    text += `${text === "" ? "" : ","}${canonicalText(name)}:${canonicalParts(member)}`;
  }
  return `{${text}}`;
}

/** Text as an entry may hold it, from text that came from outside: lone surrogates replaced, NFC. */
export function toCanonicalText(text: string): string {
  return PLAIN.test(text) ? text : text.toWellFormed().normalize("NFC");
}

function canonicalText(text: string): string {
  if (UNESCAPED.test(text)) return `"${text}"`;
  if (!PLAIN.test(text) && (!text.isWellFormed() || text.normalize("NFC") !== text)) {
    throw new RangeError("text is not well-formed NFC");
  }
  // ECMAScript's own escapes are those of RFC 8785 §3.2.2.2.
  return JSON.stringify(text);
}

function canonicalInteger(value: number): string {
  if (!isCanonicalInteger(value)) throw new RangeError("not a safe integer");
  return String(value);
}

function isCanonicalInteger(value: number): boolean {
  return Number.isSafeInteger(value) && !Object.is(value, -0);
}

function isList(value: JsonValue): value is readonly JsonValue[] {
  return Array.isArray(value);
}

/** By UTF-16 code units, as RFC 8785 §3.2.3 wants and `<` compares. Most objects are written in order already. */
function sortedNames(value: object): readonly string[] {
  const names = Object.keys(value);
  for (let at = 1; at < names.length; at += 1) if ((names[at - 1] ?? "") > (names[at] ?? "")) return names.sort();
  return names;
}
