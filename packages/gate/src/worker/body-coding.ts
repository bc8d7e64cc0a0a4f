import { field, getAllFields, listMembers } from "../http1/fields.ts";
import type { Field } from "../http1/messages.ts";

/** Codings of bodies that the gate decodes and encodes again. */
export type Coding = "gzip" | "br" | "zstd";

const CODINGS: ReadonlyMap<string, Coding> = new Map([
  ["gzip", "gzip"],
  ["x-gzip", "gzip"],
  ["br", "br"],
  ["zstd", "zstd"],
]);

/** How a body is encoded: in one coding that is known here, not at all, or in a way that cannot be read. */
export function bodyCoding(fields: readonly Field[]): Coding | "identity" | "unknown" {
  const codings = listMembers(fields, "content-encoding").filter((coding) => coding !== "identity");
  const [coding] = codings;
  if (coding === undefined) return "identity";
  return (codings.length === 1 && CODINGS.get(coding)) || "unknown";
}

/** One member of Accept-Encoding that names such a coding. */
export const KNOWN_CODING =
  /^(?:gzip|x-gzip|br|zstd|identity)(?:[ \t]*;[ \t]*q=(?:0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?))?$/;

// Bodies of these types are no text: nothing in them is escaped.
const BINARY =
  /^(?:image\/(?!svg)|audio\/|video\/|font\/)|^application\/(?:octet-stream|zip|gzip|x-gzip|zstd|x-tar|pdf|wasm|x-git-|vnd\.(?:oci|docker)\.image\.(?:layer|rootfs))/i;

/** Whether characters of a body may be escaped, as in text. What says nothing of its type may be text. */
export function mayBeText(fields: readonly Field[]): boolean {
  const types = getAllFields(fields, "content-type");
  return !(types.length === 1 && BINARY.test(types[0] ?? ""));
}

// They speak of the very bytes that the service sent.
const OF_THE_BYTES: ReadonlySet<string> = new Set([
  "content-length",
  "content-md5",
  "content-digest",
  "repr-digest",
  "digest",
  "accept-ranges",
]);

/** The fields of a body that is encoded anew: the same content, in other bytes (RFC 9110 §8.8.1). */
export function recodedFields(fields: readonly Field[]): readonly Field[] {
  return fields
    .filter(({ lowerName }) => !OF_THE_BYTES.has(lowerName))
    .map((one) => (one.lowerName === "etag" && one.value.startsWith('"') ? field(one.name, `W/${one.value}`) : one));
}
