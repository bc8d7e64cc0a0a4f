import { brotliCompressSync, constants, gzipSync, zstdCompressSync } from "node:zlib";
import { expect, test } from "vitest";
import { windowBytes } from "../../src/worker/coding-window.ts";

const TEXT = "some text that is encoded. ".repeat(200_000);

test.each(Array.from({ length: 15 }, (_, index) => 10 + index))(
  "a window of 2^%d is read from a body in br",
  (bits) => {
    const body = brotliCompressSync(TEXT, {
      params: { [constants.BROTLI_PARAM_LGWIN]: bits, [constants.BROTLI_PARAM_QUALITY]: 2 },
    });
    expect(windowBytes("br", body)).toBe(2 ** bits);
  },
);

test("a body in zstd has the largest, whatever its first frame says: a later one may ask for it", () => {
  const encode = (bits: number) => zstdCompressSync(TEXT, { params: { [constants.ZSTD_c_windowLog]: bits } });
  expect(windowBytes("zstd", Buffer.concat([encode(10), encode(23)]))).toBe(2 ** 23);
  expect(windowBytes("zstd", encode(10).subarray(0, 5))).toBe(2 ** 23);
});

test("a body in gzip has none beside what each has", () => {
  expect(windowBytes("gzip", gzipSync(TEXT))).toBe(0);
});
