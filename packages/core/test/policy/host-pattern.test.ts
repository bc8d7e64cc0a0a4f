import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { compareSpecificity, matchHostPattern, parseHostPattern } from "../../src/index.ts";

describe("a pattern matches hosts", () => {
  test.each([
    ["API.github.com", ["api.github.com:443", "api.github.com:8443"], ["github.com:443", "xapi.github.com:443"]],
    ["api.github.com.:8443", ["api.github.com:8443"], ["api.github.com:443"]],
    ["*.github.com", ["api.github.com:443", "a.b.github.com:1"], ["github.com:443", "evilgithub.com:443"]],
    ["*.GitHub.com:8443", ["api.github.com:8443"], ["api.github.com:443", "github.com:8443"]],
    ["*", ["example.com:443", "127.0.0.1:1", "::1:80"], []],
    ["*:8443", ["example.com:8443"], ["example.com:443"]],
    ["0x7f.1:80", ["127.0.0.1:80"], ["127.0.0.1:443"]],
    ["2130706433", ["127.0.0.1:80"], []],
    ["[::FFFF:127.0.0.1]:80", ["127.0.0.1:80"], ["::1:80"]],
    ["[::1]", ["::1:80"], ["127.0.0.1:80"]],
    ["::1", ["::1:80"], []],
    ["*.com", ["a.com:443"], ["com:443", "a.com.evil.org:443"]],
  ])("%s", (text, matching, others) => {
    const pattern = parseHostPattern(text);
    const matches = (place: string) => {
      const colon = place.lastIndexOf(":");
      return matchHostPattern(pattern, place.slice(0, colon), Number(place.slice(colon + 1)));
    };
    for (const place of matching) expect([place, matches(place)]).toEqual([place, true]);
    for (const place of others) expect([place, matches(place)]).toEqual([place, false]);
  });

  test.each([
    "",
    "*.",
    "*x.com",
    "a.*.com",
    "**.com",
    "*.*.com",
    "*com",
    ".com",
    "*.0.0.1",
    "*.127.0.0.1",
    "*.5",
    "*.[::1]",
    "*:",
    "*:0",
    "*:70000",
    "a.com:",
    "a.com:0",
    "a.com/path",
    "https://a.com",
    "user@a.com",
    "a.com ",
    "b\u00fccher.example",
    "1.2.3.4.5",
  ])("%j is no pattern", (text) => {
    expect(() => parseHostPattern(text)).toThrow(expect.objectContaining({ code: "policy.invalid" }));
  });
});

test("a wildcard never reaches an address, a sibling or its own apex", () => {
  fc.assert(
    fc.property(fc.domain(), fc.domain(), (suffix, other) => {
      const pattern = parseHostPattern(`*.${suffix}`);
      expect(matchHostPattern(pattern, suffix.toLowerCase(), 443)).toBe(false);
      expect(matchHostPattern(pattern, `x${suffix.toLowerCase()}`, 443)).toBe(false);
      expect(matchHostPattern(pattern, `x.${suffix.toLowerCase()}`, 443)).toBe(true);
      expect(matchHostPattern(pattern, `${suffix.toLowerCase()}.${other.toLowerCase()}`, 443)).toBe(
        `${suffix}.${other}`.toLowerCase().endsWith(`.${suffix.toLowerCase()}`),
      );
    }),
  );
});

test("exact beats wildcard, the longest wildcard wins, a stated port beats none", () => {
  const order = [
    "api.a.com:443",
    "api.a.com",
    "*.api.a.com:443",
    "*.api.a.com",
    "*.a.com:443",
    "*.a.com",
    "*:443",
    "*",
  ];
  const shuffled = order.toReversed().map(parseHostPattern).sort(compareSpecificity);
  expect(shuffled).toEqual(order.map(parseHostPattern));
  expect(compareSpecificity(parseHostPattern("a.com"), parseHostPattern("b.com"))).toBe(0);
  const long = `*.${"a.".repeat(120)}com:1`;
  expect(compareSpecificity(parseHostPattern("a.b"), parseHostPattern(long))).toBeLessThan(0);
});
