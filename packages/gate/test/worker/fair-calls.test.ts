import { eventually } from "@gatehouse/testbed";
import { expect, test } from "vitest";
import { FairCalls } from "../../src/worker/fair-calls.ts";

/** A resolver that answers when the test says so. */
function openResolver(count: number) {
  const asked: string[] = [];
  const answers = new Map<string, PromiseWithResolvers<readonly string[]>>();
  const lookUps = new FairCalls((name) => {
    asked.push(name);
    const answer = Promise.withResolvers<readonly string[]>();
    answers.set(name, answer);
    return answer.promise;
  }, count);
  return { lookUps, asked, answer: (name: string) => answers.get(name)?.resolve([name]), answers };
}

test("a run may have as many lookups under way as are left, so each further run finds some", () => {
  const { lookUps, asked } = openResolver(8);
  for (const run of ["a", "b", "c", "d"]) {
    for (let index = 0; index < 20; index += 1) lookUps.ask(run, `${run}${index}`);
  }
  expect(asked).toEqual(["a0", "a1", "a2", "a3", "b0", "b1", "c0", "d0"]);
});

test("names that wait are looked up one of each run in turn, and all of them at last", async () => {
  const { lookUps, asked, answer } = openResolver(1);
  const found = ["a0", "a1", "a2", "b0", "b1"].map((name) => lookUps.ask(name.slice(0, 1), name).found);
  for (let at = 0; at < found.length; at += 1) {
    await eventually("the next lookup", () => asked.length === at + 1);
    answer(asked[at] ?? "");
  }
  expect(await Promise.all(found)).toEqual([["a0"], ["a1"], ["a2"], ["b0"], ["b1"]]);
  expect(asked).toEqual(["a0", "a1", "b0", "a2", "b1"]);
});

test("a name is looked up once at a time, whoever asks, and a failure is everybody's", async () => {
  const { lookUps, asked, answers } = openResolver(2);
  const first = lookUps.ask("a", "one").found;
  const second = lookUps.ask("b", "one").found;
  answers.get("one")?.reject(new Error("SERVFAIL"));
  await expect(first).rejects.toThrow("SERVFAIL");
  await expect(second).rejects.toThrow("SERVFAIL");
  expect(asked).toEqual(["one"]);
  // What failed is asked anew.
  void lookUps.ask("b", "one").found;
  expect(asked).toEqual(["one", "one"]);
});

test("a name for which nobody waits any more is not looked up", async () => {
  const { lookUps, asked, answer } = openResolver(1);
  const first = lookUps.ask("a", "first").found;
  const [left, shared] = [lookUps.ask("a", "left"), lookUps.ask("a", "shared")];
  const stays = lookUps.ask("a", "shared").found;
  left[Symbol.dispose]();
  shared[Symbol.dispose]();
  answer("first");
  await first;
  await eventually("the next lookup", () => asked.length === 2);
  answer("shared");
  expect(await stays).toEqual(["shared"]);
  expect(asked).toEqual(["first", "shared"]);
});
