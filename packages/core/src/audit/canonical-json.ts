/** What an audit entry may hold: RFC 8785 is unambiguous for integers, so there are no other numbers. */
export type CanonicalValue =
  | null
  | boolean
  | number
  | string
  | readonly CanonicalValue[]
  | { readonly [key: string]: CanonicalValue };

/**
 * RFC 8785 (JCS) text of a value: keys in UTF-16 order, no white space. Numbers other than safe integers and text that
 * is not well-formed are refused with a RangeError; callers decide what they record before.
 */
export function canonicalJson(value: CanonicalValue): string {
  if (value === null || typeof value === "boolean") return String(value);
  if (typeof value === "number") return integerText(value);
  if (typeof value === "string") return stringText(value);
  if (isList(value)) return `[${value.map(canonicalJson).join(",")}]`;
  const members = Object.keys(value)
    .sort()
    .map((key) => `${stringText(key)}:${canonicalJson(value[key] ?? null)}`);
  return `{${members.join(",")}}`;
}

function isList(value: CanonicalValue): value is readonly CanonicalValue[] {
  return Array.isArray(value);
}

function integerText(value: number): string {
  if (!Number.isSafeInteger(value)) throw new RangeError("only safe integers have one canonical form");
  return String(value === 0 ? 0 : value);
}

function stringText(value: string): string {
  if (!value.isWellFormed()) throw new RangeError("text is not well-formed");
  return JSON.stringify(value);
}
