import { getAllFields } from "../http1/fields.ts";
import type { ResponseHead } from "../http1/messages.ts";

// Bodies of these types are no text: they pass encoded as they are.
const BINARY =
  /^(?:image\/(?!svg)|audio\/|video\/|font\/)|^application\/(?:octet-stream|zip|gzip|x-gzip|zstd|x-tar|pdf|wasm|x-git-|vnd\.(?:oci|docker)\.image\.(?:layer|rootfs))/i;

/** Whether a body that is encoded in spite of the request may hide text that must be scrubbed. */
export function isOpaqueText({ fields, framing }: ResponseHead): boolean {
  if (framing.kind === "none") return false;
  const encodings = getAllFields(fields, "content-encoding").filter((coding) => !/^(?:identity)?$/i.test(coding));
  const types = getAllFields(fields, "content-type");
  return encodings.length > 0 && !(types.length === 1 && BINARY.test(types[0] ?? ""));
}
