import fc from "fast-check";
import { expect, test } from "vitest";
import { parseNameSegment, parseResourceName, parseRunId, toNameSegment } from "../src/index.ts";

test.each(["a", "run-1", "A.b_c-9", "...", "a".repeat(128)])("%j is a run id", (text) => {
  expect(parseRunId(text)).toBe(text);
});

test.each(["", ".", "..", "a/b", "a b", "a\n", "\u00e9", "a".repeat(129), "%2e"])("%j is no run id", (text) => {
  expect(() => parseRunId(text)).toThrow(expect.objectContaining({ code: "run.bad_id" }));
});

test.each(["github", "0", "a.b-c_d", "a".repeat(63)])("%j is a resource name", (text) => {
  expect(parseResourceName(text)).toBe(text);
});

test.each(["", "A", ".a", "-a", "a..b", "a/b", "a".repeat(64), "a\n"])("%j is no resource name", (text) => {
  expect(() => parseResourceName(text)).toThrow(expect.objectContaining({ code: "grants.invalid" }));
});

test.each(["", "-a", "_a", "a.b", "a b", "a".repeat(64)])("%j is no name segment", (text) => {
  expect(() => parseNameSegment(text)).toThrow(expect.objectContaining({ code: "usage.invalid" }));
});

test.each([
  ["my project", "my-project"],
  ["..hidden", "hidden"],
  ["claude.exe", "claude-exe"],
  ["\u00e9t\u00e9", "t-"],
  ["???", undefined],
  ["", undefined],
  ["x".repeat(80), "x".repeat(63)],
])("free text %j becomes the segment %j", (text, segment) => {
  expect(toNameSegment(text)).toBe(segment);
});

test("whatever free text becomes is a segment", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary", maxLength: 100 }), (text) => {
      const segment = toNameSegment(text);
      if (segment !== undefined) expect(parseNameSegment(segment)).toBe(segment);
    }),
  );
});
