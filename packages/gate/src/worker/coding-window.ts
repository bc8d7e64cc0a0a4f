import type { Coding } from "./body-coding.ts";

/** What a decoder and an encoder hold beside the window that the body asks for. */
export const RECODING_BYTES = 524_288;

const MAX_ZSTD_WINDOW = 8 * 1_048_576;

/**
 * How much of a body its decoder keeps. In br its first byte says that of the whole; in zstd each frame says its own, so
 * that a later one may ask for the most.
 */
export function windowBytes(coding: Coding, first: Buffer): number {
  if (coding === "br") return brotliWindow(first[0] ?? 0);
  return coding === "zstd" ? MAX_ZSTD_WINDOW : 0;
}

/** RFC 7932 §9.1: one to seven bits. */
function brotliWindow(first: number): number {
  const high = (first >> 1) & 7;
  const low = (first >> 4) & 7;
  if ((first & 1) === 0) return 2 ** 16;
  if (high > 0) return 2 ** (17 + high);
  return low === 0 ? 2 ** 17 : 2 ** (8 + low);
}
