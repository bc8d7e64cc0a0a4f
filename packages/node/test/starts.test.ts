import { setImmediate as nextPass } from "node:timers/promises";
import { expect, test } from "vitest";
import { Starts } from "../src/commands/starts.ts";

test("who is told to end what is being started waits for every start of that id, in whatever order they end", async () => {
  const starts = new Starts();
  const first = Promise.withResolvers<void>();
  const second = Promise.withResolvers<void>();
  const other = Promise.withResolvers<void>();
  const begun = [starts.run("a", first.promise), starts.run("a", second.promise), starts.run("b", other.promise)];
  let isSettled = false;
  const settled = starts.settled("a").then(() => {
    isSettled = true;
  });
  second.reject(new Error("that id is taken"));
  await expect(begun[1]).rejects.toThrow("taken");
  await nextPass();
  expect(isSettled).toBe(false);
  first.resolve();
  await settled;
  await starts.settled("a");
  other.resolve();
  await Promise.all([begun[0], begun[2]]);
});
