import { expect, test } from "vitest";
import { FreedMemory } from "../../src/worker/freed-memory.ts";

/** Sweeps two seconds apart, each told how many connections have closed until then; at which of them memory was returned. */
function returnedAt(...closed: readonly number[]): number[] {
  const returned: number[] = [];
  let at = 0;
  const freed = new FreedMemory(() => returned.push(at));
  for (const [index, count] of closed.entries()) {
    at = index;
    freed.sweep(count, index * 2_000);
  }
  return returned;
}

test("a few connections that close are not worth the search", () => {
  expect(returnedAt(10, 60, 120, 180, 240, 240)).toEqual([]);
});

test("memory is returned once, when a crowd has gone and it is quiet", () => {
  expect(returnedAt(0, 1_000, 2_000, 2_010, 2_010, 2_010)).toEqual([1, 3]);
});

test("where connections come and go all the time it is returned now and then", () => {
  const churn = Array.from({ length: 40 }, (_, index) => index * 500);
  expect(returnedAt(...churn)).toEqual([1, 17, 33]);
});
