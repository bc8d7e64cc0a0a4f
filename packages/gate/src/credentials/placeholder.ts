import type { Random } from "@gatehouse/core";

const ALPHABET = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";

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
