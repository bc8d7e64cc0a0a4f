import { expect, test } from "vitest";
import { repeatsName } from "../../src/unix-http/repeats-name.ts";

test.each([
  ['{"a":1,"a":2}', true],
  ['{"a":{"b":1},"c":[{"b":1},{"b":1}],"b":"a"}', false],
  ['{"a":"\\"a\\":{","b":["a","a"],"A":0}', false],
  ['{"x":[{"\\u0061":1, "a" : 2}]}', true],
  ['{"":1,"":2}', true],
  ['{"a\\\\":1,"a":{"a\\\\":1}}', false],
  ['{"__proto__":1,"constructor":2}', false],
  ['"a:b"', false],
])("%s: %s", (json, repeats) => {
  expect(repeatsName(json)).toBe(repeats);
});
