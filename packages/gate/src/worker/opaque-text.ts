import { getAllFields } from "../http1/fields.ts";
import type { Field, ResponseHead } from "../http1/messages.ts";

// Bodies of these types are no text: nothing in them is escaped, and they pass encoded as they are.
const BINARY =
  /^(?:image\/(?!svg)|audio\/|video\/|font\/)|^application\/(?:octet-stream|zip|gzip|x-gzip|zstd|x-tar|pdf|wasm|x-git-|vnd\.(?:oci|docker)\.image\.(?:layer|rootfs))/i;

/** Whether characters of a body may be escaped, as in text. What says nothing of its type may be text. */
export function mayBeText(fields: readonly Field[]): boolean {
  const types = getAllFields(fields, "content-type");
  return !(types.length === 1 && BINARY.test(types[0] ?? ""));
}

/** Whether a body that is encoded in spite of the request may hide text that must be scrubbed. */
export function isOpaqueText({ fields, framing }: ResponseHead): boolean {
  if (framing.kind === "none") return false;
  const encodings = getAllFields(fields, "content-encoding").filter((coding) => !/^(?:identity)?$/i.test(coding));
  return encodings.length > 0 && mayBeText(fields);
}
