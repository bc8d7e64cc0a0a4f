import { expect, test } from "vitest";
import { DetachKeys } from "../src/terminal/detach-keys.ts";

test.each([
  ["ctrl-p,ctrl-q", ["a\u0010b"], "a\u0010b"],
  ["ctrl-p,ctrl-q", ["a\u0010", "\u0011c"], "a left"],
  ["ctrl-p,ctrl-q", ["\u0010\u0010\u0011"], "left"],
  ["ctrl-p,ctrl-q", ["\u0010", "\u0010", "x"], "\u0010\u0010x"],
  ["ctrl-p,ctrl-q", ["\u0011\u0010"], "\u0011"],
  ["a,a,b", ["aaa", "b"], "a left"],
  ["a,a,b", ["aa", "ca", "a", "d"], "aacaad"],
  ["ctrl-]", ["x\u001d"], "left"],
  ["", ["\u0010\u0011"], "\u0010\u0011"],
])("%j, of %j leaves %j", (written, typed, expected) => {
  const keys = DetachKeys.parse(written);
  let passed = "";
  for (const one of typed) {
    const on = keys.pass(Buffer.from(one));
    if (on === undefined) passed += " left";
    else passed += Buffer.from(on).toString();
  }
  expect(passed.trim()).toBe(expected);
});

test.each(["ctrl-1", "ctrl-", "ab", ",", "a,,b", "é", "ctrl-P", Array.from({ length: 9 }, () => "a").join(",")])(
  "%j is refused, by name",
  (written) => {
    expect(() => DetachKeys.parse(written)).toThrow(
      expect.objectContaining({ code: "usage.invalid", detail: expect.stringContaining("--detach-keys") }),
    );
  },
);
