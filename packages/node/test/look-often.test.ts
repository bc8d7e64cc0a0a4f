import { Lifetime } from "@gatehouse/core";
import { expect, test } from "vitest";
import { lookOften } from "../src/daemon/look-often.ts";

test("a look that fails is said once and tried again, and does not count when everything is closed", async () => {
  const said: string[] = [];
  const log = { error: (text: string) => void said.push(text), info: (text: string) => void said.push(text) };
  const healed = Promise.withResolvers<void>();
  let looks = 0;
  const look = async () => {
    looks += 1;
    if (looks <= 3) throw new Error("no room");
    if (looks === 5) healed.resolve();
  };
  const life = new Lifetime();
  life.run((signal) => lookOften({ look, everyMs: 1, log }, signal));
  await healed.promise;
  await life[Symbol.asyncDispose]();
  expect(said).toEqual(["runs cannot be looked after now", "runs are looked after again"]);
});
