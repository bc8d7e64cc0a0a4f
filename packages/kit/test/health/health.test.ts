import { expect, test } from "vitest";
import { openHealth, waitHealthy } from "../../src/index.ts";

const passes = { name: "passes", check: async () => undefined };

test("nothing is healthy before the start has finished, whatever the probes say", async () => {
  const health = openHealth({ probes: [passes] });
  expect(await health.report()).toEqual({ status: "starting" });
  health.setReady();
  expect(await health.report()).toEqual({ status: "ok" });
});

test("the first failing probe is named with its reason; one that hangs fails by its deadline", async () => {
  let aborted = false;
  const hangs = {
    name: "hangs",
    check: (signal: AbortSignal) =>
      new Promise<void>(() => {
        signal.addEventListener("abort", () => {
          aborted = true;
        });
      }),
  };
  const fails = { name: "fails", check: () => Promise.reject(new Error("socket gone")) };
  const one = openHealth({ probes: [passes, fails, hangs], probeTimeoutMs: 20 });
  one.setReady();
  expect(await one.report()).toEqual({ status: "failing", failed_probe: "fails", reason: "socket gone" });
  const two = openHealth({ probes: [hangs], probeTimeoutMs: 20 });
  two.setReady();
  expect(await two.report()).toMatchObject({ status: "failing", failed_probe: "hangs" });
  expect(aborted).toBe(true);
});

test("probes run once for all who ask within the cache's time, and again after it", async () => {
  let runs = 0;
  const counting = {
    name: "counting",
    check: async () => {
      runs += 1;
    },
  };
  const cached = openHealth({ probes: [counting], cacheMs: 60_000 });
  cached.setReady();
  await Promise.all([cached.report(), cached.report(), cached.report()]);
  expect(runs).toBe(1);
  const fresh = openHealth({ probes: [counting], cacheMs: 0 });
  fresh.setReady();
  await fresh.report();
  await fresh.report();
  expect(runs).toBe(3);
});

test("waiting for health ends with yes, with the deadline, or when nobody waits any more", async () => {
  let asked = 0;
  const third = async () => {
    asked += 1;
    if (asked === 1) throw new Error("not yet");
    return asked === 3;
  };
  await waitHealthy({ probe: third, timeoutMs: 5_000, intervalMs: 1 });
  expect(asked).toBe(3);
  const never = async () => {
    throw new Error("why not");
  };
  await expect(waitHealthy({ probe: never, timeoutMs: 30, intervalMs: 1 })).rejects.toMatchObject({
    code: "daemon.timeout",
    cause: expect.objectContaining({ message: "why not" }),
  });
  const abort = new AbortController();
  const waiting = waitHealthy({ probe: never, timeoutMs: 5_000, signal: abort.signal });
  abort.abort(new Error("the process died"));
  await expect(waiting).rejects.toThrow("the process died");
});
