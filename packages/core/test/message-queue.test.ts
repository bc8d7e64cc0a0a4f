import { expect, test } from "vitest";
import { MessageQueue } from "../src/index.ts";

test("what was pushed comes in order, before the end, to a reader who waited and to one who comes later", async () => {
  const queue = new MessageQueue<number>(4);
  const waiting = queue.next();
  for (const item of [1, 2, 3]) expect(queue.push(item)).toBe(true);
  queue.end();
  expect(queue.push(4)).toBe(false);
  expect(await waiting).toEqual({ done: false, value: 1 });
  expect(await Array.fromAsync(queue)).toEqual([2, 3]);
  expect(await queue.next()).toEqual({ done: true, value: undefined });
});

test("a failure comes after what was pushed before it; the first end counts", async () => {
  const queue = new MessageQueue<number>(4);
  queue.push(1);
  queue.fail(new Error("broken"));
  queue.end();
  expect(queue.hasEnded).toBe(true);
  expect(await queue.next()).toEqual({ done: false, value: 1 });
  await expect(queue.next()).rejects.toThrow("broken");
});

test("a reader who waits hears of the end, and of a failure", async () => {
  const [ended, failed] = [new MessageQueue<number>(1), new MessageQueue<number>(1)];
  const waiting = [ended.next(), failed.next()] as const;
  ended.end();
  failed.fail(new Error("broken"));
  expect(await waiting[0]).toEqual({ done: true, value: undefined });
  await expect(waiting[1]).rejects.toThrow("broken");
});

test("a full queue takes nothing until something was read", async () => {
  const queue = new MessageQueue<number>(1);
  expect([queue.push(1), queue.push(2)]).toEqual([true, false]);
  await queue.next();
  expect(queue.push(3)).toBe(true);
});
