import type { Coding } from "./body-coding.ts";

/** What a decoder and an encoder hold beside the window that the body asks for. */
export const RECODING_BYTES = 524_288;

const MAX_ZSTD_WINDOW = 8 * 1_048_576;
const ZSTD_DESCRIPTOR_AT = 4;
const SINGLE_SEGMENT = 0x20;

/** How much of a body its decoder keeps, as the first bytes say it; what they do not say is taken for the most. */
export function windowBytes(coding: Coding, first: Buffer): number {
  if (coding === "br") return brotliWindow(first[0] ?? 0);
  return coding === "zstd" ? zstdWindow(first) : 0;
}

/** RFC 7932 §9.1: one to seven bits. */
function brotliWindow(first: number): number {
  const high = (first >> 1) & 7;
  const low = (first >> 4) & 7;
  if ((first & 1) === 0) return 2 ** 16;
  if (high > 0) return 2 ** (17 + high);
  return low === 0 ? 2 ** 17 : 2 ** (8 + low);
}

/** RFC 8878 §3.1.1.1.2: absent where the frame is one segment, of a size that stands elsewhere. */
function zstdWindow(first: Buffer): number {
  const descriptor = first[ZSTD_DESCRIPTOR_AT];
  const window = first[ZSTD_DESCRIPTOR_AT + 1];
  if (descriptor === undefined || window === undefined || (descriptor & SINGLE_SEGMENT) !== 0) return MAX_ZSTD_WINDOW;
  const base = 2 ** (10 + (window >> 3));
  return Math.min(MAX_ZSTD_WINDOW, base + (base / 8) * (window & 7));
}
