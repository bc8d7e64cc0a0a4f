import { setTimeout as delay } from "node:timers/promises";
import { expect, test } from "vitest";
import { Lifetime } from "../src/index.ts";

function recorder() {
  const closed: string[] = [];
  const thing = (name: string, failure?: Error) => ({
    [Symbol.asyncDispose]: async () => {
      closed.push(name);
      if (failure !== undefined) throw failure;
    },
  });
  return { closed, thing };
}

test("what was opened last is closed first, once", async () => {
  const { closed, thing } = recorder();
  const life = new Lifetime();
  life.own(thing("first"));
  life.defer(() => void closed.push("deferred"));
  life.own({ [Symbol.dispose]: () => void closed.push("synchronous") });
  await life[Symbol.asyncDispose]();
  await life[Symbol.asyncDispose]();
  expect(closed).toEqual(["synchronous", "deferred", "first"]);
});

test("one failure leaves as itself, several leave together, and everything is closed all the same", async () => {
  const { closed, thing } = recorder();
  const one = new Error("one");
  const two = new Error("two");
  const alone = new Lifetime();
  alone.own(thing("a", one));
  await expect(alone[Symbol.asyncDispose]()).rejects.toBe(one);
  const both = new Lifetime();
  both.own(thing("b", one));
  both.own(thing("c", two));
  both.own(thing("d"));
  await expect(both[Symbol.asyncDispose]()).rejects.toMatchObject({ errors: [two, one] });
  expect(closed).toEqual(["a", "d", "c", "b"]);
});

test("what is handed over after closing began is closed at once and refused", async () => {
  const { closed, thing } = recorder();
  const life = new Lifetime();
  const closing = life[Symbol.asyncDispose]();
  expect(life.isClosing).toBe(true);
  expect(() => life.own(thing("late"))).toThrow("closing");
  await closing;
  expect(closed).toEqual(["late"]);
});

test("closing cancels background tasks, waits for them, and does not report its own cancellation", async () => {
  const life = new Lifetime();
  const ended: string[] = [];
  life.run(async (signal) => {
    try {
      await delay(60_000, undefined, { signal });
    } finally {
      ended.push("timer");
    }
  });
  life.run(async (signal) => {
    const { promise, reject } = Promise.withResolvers<void>();
    signal.addEventListener("abort", () => reject(signal.reason));
    await promise.finally(() => ended.push("reason"));
  });
  await life[Symbol.asyncDispose]();
  expect(ended.toSorted()).toEqual(["reason", "timer"]);
});

test("a background task's own failure is reported when closing, thrown at once or later", async () => {
  const life = new Lifetime();
  const late = new Error("late");
  life.run(async () => {
    await Promise.resolve();
    throw late;
  });
  life.run(() => {
    throw new Error("at once");
  });
  await expect(life[Symbol.asyncDispose]()).rejects.toMatchObject({ errors: [{ message: "at once" }, late] });
});
