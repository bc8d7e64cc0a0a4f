import { setImmediate as nextPass } from "node:timers/promises";
import { expect, test } from "vitest";
import { FairTurns } from "../../src/worker/fair-turns.ts";

/** Turns of which each takes so long. */
function turnsOf(turnMs: number) {
  let nowMs = 0;
  const taken: string[] = [];
  const turns = new FairTurns({ monotonicMs: () => nowMs });
  /** What has work without end, until it is told to stop. */
  const work = (run: string, name: string) => {
    const act = () => {
      taken.push(name);
      nowMs += turnMs;
      if (!isOver) turns.ask(run, act);
    };
    turns.ask(run, act);
  };
  let isOver = false;
  return { taken, work, stop: () => (isOver = true) };
}

test("a run with a hundred bodies gets the turns that one with a single body gets", async () => {
  const { taken, work, stop } = turnsOf(0.1);
  for (let index = 0; index < 100; index += 1) work("greedy", "greedy");
  work("modest", "modest");
  while (taken.length < 40) await nextPass();
  stop();
  const seen = taken.slice(0, 40);
  expect(seen.filter((name) => name === "modest")).toHaveLength(20);
});

test("what a run has under way takes turns too", async () => {
  const { taken, work, stop } = turnsOf(0.1);
  for (const name of ["a", "b", "c"]) work("run", name);
  while (taken.length < 9) await nextPass();
  stop();
  expect(taken.slice(0, 9).join("")).toBe("abcabcabc");
});

test("between a millisecond of turns and the next one, everything else is looked after", async () => {
  const { taken, work, stop } = turnsOf(0.25);
  for (let index = 0; index < 100; index += 1) work("greedy", "turn");
  for (let pass = 0; pass < 10; pass += 1) {
    const before = taken.length;
    await nextPass();
    expect(taken.length - before).toBeLessThanOrEqual(4);
  }
  stop();
});

test("turns stop when nobody asks, and go on when somebody does", async () => {
  const { taken, work, stop } = turnsOf(0.1);
  stop();
  work("run", "one");
  await nextPass();
  await nextPass();
  work("run", "two");
  await nextPass();
  expect(taken).toEqual(["one", "two"]);
});
