import type { Random } from "@gatehouse/core";
import type { ScrubbedValue } from "../snapshot/run-snapshot.ts";

const ALPHABET = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
/** Shorter values would be found by chance in ordinary text. */
const MIN_SCRUBBED_LENGTH = 6;

/** How a placeholder looks. */
export interface PlaceholderShape {
  readonly prefix: string;
  readonly length: number;
}

/** The shape for services without a template. */
export const PLAIN_PLACEHOLDER: PlaceholderShape = { prefix: "gh-placeholder-", length: 40 };

/** A value that looks like the real one and opens nothing: random for each run and grant. */
export function makePlaceholder({ prefix, length }: PlaceholderShape, random: Random): string {
  // 62 letters into 256 values: the slight bias is of no use to anyone, a placeholder is no secret.
  const letters = Array.from(random.bytes(Math.max(16, length - prefix.length)), (byte) => ALPHABET[byte % 62]);
  return prefix + letters.join("");
}

/** Every form in which a value could come back, each with an overwrite of its own length. */
export function scrubbedForms(value: string, headerValue: string, placeholder: string): readonly ScrubbedValue[] {
  const encoded = /^(?:basic|bearer|token) (\S+)$/i.exec(headerValue)?.[1] ?? headerValue;
  const forms = new Set([
    value,
    encoded,
    encodeURIComponent(value),
    JSON.stringify(value).slice(1, -1),
    Buffer.from(value).toString("base64"),
    Buffer.from(value).toString("base64url"),
  ]);
  return [...forms]
    .filter((form) => form.length >= MIN_SCRUBBED_LENGTH)
    .map((form) => ({ value: form, overwrite: fit(placeholder, Buffer.byteLength(form)) }));
}

function fit(placeholder: string, bytes: number): string {
  return placeholder.repeat(Math.ceil(bytes / placeholder.length)).slice(0, bytes);
}
