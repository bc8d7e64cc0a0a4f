import { describe, expect, test } from "vitest";
import { readEscapes } from "../../src/scrub/read-escapes.ts";

const read = (text: string, isWhole = true) => readEscapes(Buffer.from(text), isWhole)?.bytes.toString("latin1");

describe("an escape is read as the character that it stands for", () => {
  test.each([
    ["a%2Fb", "a/b"],
    ["a%2fb", "a/b"],
    ["a%252Fb", "a%2Fb"],
    ["a\\/b", "a/b"],
    ["a\\u002fb\\u002Fb", "a/b/b"],
    ["a\\x2fb", "a/b"],
    ['\\"\\\\\\n', '"\\\n'],
    ["a&amp;b&lt;&gt;&quot;&apos;", "a&b<>\"'"],
    ["&#47;&#x2F;&#x002f;&#X2f;", "////"],
    ["&sol;&equals;&plus;", "/=+"],
    ["%41\\u0042&#67;", "ABC"],
    ["\\u20ac&#8364;", "\xff\xff"],
  ])("%s", (text, meant) => {
    expect(read(text)).toBe(meant);
  });
});

describe("what is no escape stands for itself", () => {
  test.each(["100%", "%zz%1", "%", "a&b=c&amp", "&amp &;&#;&#x;&#xzz;&nothing;", "&#x0000000041;"])("%s", (text) => {
    expect(read(text)).toBe(text);
  });

  test("a text without any has no reading of its own", () => {
    expect(read("nothing is escaped here")).toBeUndefined();
  });
});

test.each(["%", "%2", "\\", "\\u", "\\u00", "\\u002", "\\x2", "&", "&am", "&amp", "&#", "&#x2"])(
  "%s may go on at the end of a piece, and is left",
  (beginning) => {
    expect(read(`ab${beginning}`, false)).toBe("ab");
    expect(read(`ab${beginning}`, true)).toBe(`ab${beginning}`);
  },
);

test("places in a reading and in its text are told from each other", () => {
  const reading = readEscapes(Buffer.from("ab%2Fcd&amp;e"), true);
  const offsets = [0, 1, 2, 5, 6, 7, 12, 13];
  expect(offsets.map((_, index) => reading?.offsetOf(index))).toEqual(offsets);
  expect(offsets.map((offset) => reading?.indexOf(offset))).toEqual(offsets.map((_, index) => index));
});
