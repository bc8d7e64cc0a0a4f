import { Problem } from "@gatehouse/core";
import type { Field } from "./messages.ts";

/** Fields that speak of one connection and never pass (RFC 9110 §7.6.1), and those of proxies. */
export const HOP_BY_HOP: ReadonlySet<string> = new Set([
  "connection",
  "keep-alive",
  "proxy-authenticate",
  "proxy-authorization",
  "proxy-authentication-info",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
]);

const NONE: readonly string[] = [];

/** A name or value that ends its line early, or that latin1 cannot hold, would become another message. */
const SENDABLE = /^[\t\x20-\x7e\x80-\xff]*$/;

/** Makes a field of our own. What cannot stand in one line is a bug, refused with `internal`. */
export function field(name: string, value: string): Field {
  if (!SENDABLE.test(name) || !SENDABLE.test(value)) throw new Problem("internal", { detail: "A field of two lines." });
  return { name, lowerName: name.toLowerCase(), value };
}

/** The one value of a field; `undefined` when it is absent or stands more than once. */
export function getField(fields: readonly Field[], lowerName: string): string | undefined {
  let found: string | undefined;
  for (const one of fields) {
    if (one.lowerName !== lowerName) continue;
    if (found !== undefined) return undefined;
    found = one.value;
  }
  return found;
}

/** Every value of a field, in order. */
export function getAllFields(fields: readonly Field[], lowerName: string): readonly string[] {
  let values: string[] | undefined;
  for (const one of fields) {
    if (one.lowerName !== lowerName) continue;
    if (values === undefined) values = [one.value];
    else values.push(one.value);
  }
  return values ?? NONE;
}

/** The members of a list field (RFC 9110 §5.6.1), lower case, empty ones dropped. */
export function listMembers(fields: readonly Field[], lowerName: string): readonly string[] {
  const values = getAllFields(fields, lowerName);
  if (values.length === 0) return NONE;
  const text = values.join(",").toLowerCase();
  if (!text.includes(",")) return text === "" ? NONE : [text];
  return text
    .split(",")
    .map((member) => member.trim())
    .filter((member) => member !== "");
}

/** Fields that the Connection field makes hop-by-hop. */
export function connectionOptions(fields: readonly Field[]): ReadonlySet<string> {
  return new Set(listMembers(fields, "connection"));
}
