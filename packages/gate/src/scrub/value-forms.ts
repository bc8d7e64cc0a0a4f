import { Problem } from "@gatehouse/core";
import type { ScrubbedValue } from "../snapshot/run-snapshot.ts";
import { readEscapes } from "./read-escapes.ts";

/** Shorter values would be found by chance in ordinary text: they are no credentials that could be scrubbed. */
const MIN_CREDENTIAL_LENGTH = 6;

/** The value, unless it is too short to be told from ordinary text. Fails with `credentials.invalid_value`. */
export function requireLongEnough(value: string): string {
  if (value.length >= MIN_CREDENTIAL_LENGTH) return value;
  const detail = `A credential has ${MIN_CREDENTIAL_LENGTH} characters or more: a shorter one cannot be told from ordinary text in answers.`;
  throw new Problem("credentials.invalid_value", { detail });
}

/**
 * Every form in which a value is looked for, each with an overwrite of its own length. Escapes of single characters
 * need no form: they are read.
 */
export function scrubbedForms(value: string, headerValue: string, placeholder: string): readonly ScrubbedValue[] {
  const sent = /^(?:basic|bearer|token) (\S+)$/i.exec(headerValue)?.[1] ?? headerValue;
  const bytes = Buffer.from(value);
  const hex = bytes.toString("hex");
  const forms = new Set([
    value,
    sent,
    // Forms write a space as a plus.
    value.replaceAll(" ", "+"),
    // UTF-16 in either order of its bytes, which a text need not state.
    [...value].join("\0"),
    // A value that looks like an escape itself, in a text of which escapes are read.
    readEscapes(bytes, true)?.bytes.toString("latin1") ?? value,
    hex,
    hex.toUpperCase(),
    ...base64Forms(bytes),
  ]);
  return [...forms]
    .filter((form) => form.length >= MIN_CREDENTIAL_LENGTH)
    .map((form) => ({ value: form, overwrite: fit(placeholder, Buffer.byteLength(form)) }));
}

/**
 * The characters that stand for a value in base64 whatever stands before and behind it, for each of the three places
 * at which it may begin; and the ones at the end of a text. A character that it shares with its neighbours is left.
 */
function base64Forms(value: Buffer): readonly string[] {
  return [0, 1, 2].flatMap((before) => {
    const text = Buffer.concat([Buffer.alloc(before), value])
      .toString("base64")
      .replace(/=+$/, "");
    const first = Math.ceil((before * 8) / 6);
    const own = Math.floor(((before + value.length) * 8) / 6);
    return [text.slice(first, own), text.slice(first)].flatMap((form) => [form, toUrl(form)]);
  });
}

function toUrl(base64: string): string {
  return base64.replaceAll("+", "-").replaceAll("/", "_");
}

function fit(placeholder: string, bytes: number): string {
  return placeholder.repeat(Math.ceil(bytes / placeholder.length)).slice(0, bytes);
}
