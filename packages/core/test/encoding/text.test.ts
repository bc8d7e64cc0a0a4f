import fc from "fast-check";
import { expect, test } from "vitest";
import {
  base64url,
  constantTimeEqual,
  fromBase64url,
  fromHex,
  systemClock,
  systemRandom,
  toHex,
} from "../../src/index.ts";

const bytes = fc.uint8Array({ maxLength: 200 });

test("hex and base64url agree with the platform and give back what went in", () => {
  fc.assert(
    fc.property(bytes, (raw) => {
      expect(toHex(raw)).toBe(Buffer.from(raw).toString("hex"));
      expect(base64url(raw)).toBe(Buffer.from(raw).toString("base64url"));
      expect(fromHex(toHex(raw))).toEqual(Uint8Array.from(raw));
      expect(fromBase64url(base64url(raw))).toEqual(Uint8Array.from(raw));
    }),
  );
});

test("no two texts are read as the same bytes", () => {
  const text = fc.string({ unit: fc.constantFrom(..."AQgwBab01-_=+/ \n".split("")), maxLength: 6 });
  fc.assert(
    fc.property(text, (written) => {
      const decoded = fromBase64url(written);
      if (decoded !== undefined) expect(base64url(decoded)).toBe(written);
      const unhexed = fromHex(written);
      if (unhexed !== undefined) expect(toHex(unhexed)).toBe(written);
    }),
    { numRuns: 1_000 },
  );
});

test.each(["A", "AA==", "AA=", "AB", "AAB", "A+/A", "AA AA", "AA\n", "\u00e9AAA", "AAAAA"])(
  "%j is no base64url",
  (text) => {
    expect(fromBase64url(text)).toBeUndefined();
  },
);

test.each(["0", "0G", "AB", "0x00", " 00", "00\n", "\uff10\uff10"])("%j is no hex", (text) => {
  expect(fromHex(text)).toBeUndefined();
});

test("byte strings are equal when they are the same, and never when their lengths differ", () => {
  fc.assert(
    fc.property(bytes, bytes, fc.nat(), (a, b, at) => {
      expect(constantTimeEqual(a, a.slice())).toBe(true);
      expect(constantTimeEqual(a, b)).toBe(Buffer.from(a).equals(b));
      expect(constantTimeEqual(a, Uint8Array.of(...a, 0))).toBe(false);
      if (a.length === 0) return;
      const changed = a.slice();
      changed[at % a.length] = (changed[at % a.length] ?? 0) ^ 0x80;
      expect(constantTimeEqual(a, changed)).toBe(false);
    }),
  );
});

test("random bytes are as many as were asked for and do not repeat", () => {
  const seen = new Set(Array.from({ length: 64 }, () => toHex(systemRandom.bytes(16))));
  expect(seen.size).toBe(64);
  expect(systemRandom.bytes(0)).toHaveLength(0);
  expect(systemRandom.bytes(32)).toHaveLength(32);
});

test("the clock tells Unix milliseconds, and its monotonic time does not go back", () => {
  expect(Math.abs(systemClock.now() - Date.now())).toBeLessThan(1_000);
  const first = systemClock.monotonicMs();
  expect(systemClock.monotonicMs()).toBeGreaterThanOrEqual(first);
});
