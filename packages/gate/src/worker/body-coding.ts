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
  const codings = statedCodings(fields, "content-encoding");
  const [coding] = codings;
  if (coding !== undefined) return (codings.length === 1 && CODINGS.get(coding)) || "unknown";
  return MESSAGE_CODINGS.some((name) => statedCodings(fields, name).length > 0) ? "unknown" : "identity";
}

/** In these a service states how the messages inside its body are compressed, one by one. */
const MESSAGE_CODINGS = ["grpc-encoding", "connect-content-encoding"];

function statedCodings(fields: readonly Field[], name: string): readonly string[] {
  const codings = listMembers(fields, name);
  return codings.length === 0 ? codings : codings.filter((coding) => coding !== "identity");
}

// In these, characters of ASCII stand for themselves. In others, UTF-16 say, no value is found.
const ASCII_CHARSET =
  /^(?:utf-?8(?:mb4)?|(?:us-)?ascii|binary|iso-?8859-\d{1,2}|latin-?\d|(?:windows-|cp)(?:125\d|874|93[26]|949|950)|koi8-[ru]|gbk|gb2312|gb18030|big5(?:-hkscs)?|euc-(?:jp|kr|tw)|shift[-_]jis|sjis|tis-620|macintosh)$/i;
const CHARSET = /;[ \t]*charset[ \t]*=[ \t]*(?:"([^"]*)"|([^;"\t ]*))/gi;

/** Whether values can be found in a body of this charset; one that states none is taken for text like any other. */
export function isSearchable(fields: readonly Field[]): boolean {
  return getAllFields(fields, "content-type").every((type) =>
    [...type.matchAll(CHARSET)].every(([, quoted, plain]) => ASCII_CHARSET.test(quoted ?? plain ?? "")),
  );
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
