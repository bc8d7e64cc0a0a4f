import { Problem, Secret } from "@gatehouse/core";
import { requireLongEnough } from "../scrub/value-forms.ts";

const MAX_VALUE_BYTES = 65_536;

/**
 * A value as files and prompts give it: one trailing line end goes; what could break a header, or is too short to be
 * found again in an answer, is refused. Fails with `credentials.invalid_value`.
 */
export function parseCredentialValue(text: string): Secret {
  const value = text.replace(/\r?\n$/, "");
  if (value === "") throw new Problem("credentials.invalid_value", { detail: "It is empty." });
  if (Buffer.byteLength(value) > MAX_VALUE_BYTES)
    throw new Problem("credentials.invalid_value", { detail: "It is too long." });
  if (!/^[\x20-\x7e]+$/.test(value)) {
    throw new Problem("credentials.invalid_value", { detail: "It holds line ends, control or non-ASCII characters." });
  }
  return new Secret(requireLongEnough(value));
}
