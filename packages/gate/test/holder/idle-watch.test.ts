import { expect, test } from "vitest";
import { IdleWatch } from "../../src/holder/idle-watch.ts";

function watching() {
  const state = { nowMs: 0, runs: 0, told: 0 };
  const watch = new IdleWatch({
    clock: { now: () => state.nowMs, monotonicMs: () => state.nowMs },
    idleMs: 300_000,
    isEmpty: () => state.runs === 0,
    onEmpty: () => {
      state.told += 1;
    },
  });
  const after = (ms: number) => {
    state.nowMs += ms;
    watch.check();
    return state.told;
  };
  return { state, watch, after };
}

test("a gate that never has a run is told of after the whole time, once", () => {
  const { after } = watching();
  expect(after(299_999)).toBe(0);
  expect(after(1)).toBe(1);
  expect(after(900_000)).toBe(1);
});

test("the time counts from the end of the last run", () => {
  const { state, after } = watching();
  state.runs = 2;
  expect(after(1_000_000)).toBe(0);
  state.runs = 0;
  expect(after(299_999)).toBe(0);
  expect(after(1)).toBe(1);
});

test("a call for a change starts the time again, and so does a run", () => {
  const { state, watch, after } = watching();
  after(299_000);
  watch.touch();
  expect(after(299_999)).toBe(0);
  state.runs = 1;
  expect(after(1)).toBe(0);
  state.runs = 0;
  expect(after(299_999)).toBe(0);
  expect(after(1)).toBe(1);
  state.runs = 1;
  after(1);
  state.runs = 0;
  expect(after(300_000)).toBe(2);
});
