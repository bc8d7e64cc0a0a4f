import { getEventListeners } from "node:events";
import { expect, test } from "vitest";
import { linkSignals } from "../src/index.ts";

test("the linked signal aborts with the reason of whichever source aborts first", () => {
  const a = new AbortController();
  const b = new AbortController();
  using linked = linkSignals(a.signal, undefined, b.signal);
  expect(linked.signal.aborted).toBe(false);
  b.abort("because");
  a.abort("too late");
  expect(linked.signal.reason).toBe("because");
});

test("a source that is aborted already aborts at once", () => {
  using linked = linkSignals(new AbortController().signal, AbortSignal.abort("before"));
  expect(linked.signal.reason).toBe("before");
});

test("no listener stays on a long-lived source: not after disposal, not after an abort of another", () => {
  const process = new AbortController();
  const request = new AbortController();
  const count = () => getEventListeners(process.signal, "abort").length;
  const disposed = linkSignals(process.signal);
  expect(count()).toBe(1);
  disposed[Symbol.dispose]();
  expect(count()).toBe(0);
  linkSignals(process.signal, request.signal);
  expect(count()).toBe(1);
  request.abort();
  expect(count()).toBe(0);
  linkSignals(process.signal, AbortSignal.abort());
  expect(count()).toBe(0);
});
