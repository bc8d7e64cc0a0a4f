import { openLogSource, verifyLog } from "@gatehouse/kit";
import { eventually } from "@gatehouse/testbed";
import { expect, test } from "vitest";
import { openService } from "./faults.ts";
import { type AskingWorld, entriesIn, injectedIn, openAskingWorld } from "./handover-world.ts";

const TUNNELS = 16;
/** Longer than what may be lost, so that most of what was answered must be there. */
const LOAD_MS = 4_000;
/**
 * At rest entries are at a worker for 25 ms and at the key-holder for as long. A write may take a second before requests
 * are refused, and what comes meanwhile waits for the next, which may take as long.
 */
const LOST_WITHIN_MS = 2_500;

/** Answers for a while, so that the end comes in the midst of many. */
async function underLoad(world: AskingWorld): Promise<void> {
  for (const endMs = performance.now() + LOAD_MS; performance.now() < endMs; ) await world.next();
}

/** What was answered and has no entry, before the last moment; and what has more than one. */
async function amiss({ state, answered }: AskingWorld, killedAt: number) {
  const entries = await injectedIn(state);
  const missing = [...answered].filter(([path, time]) => !entries.has(path) && time < killedAt - LOST_WITHIN_MS);
  return { missing, doubled: [...entries].filter(([, times]) => times !== 1) };
}

test("SIGTERM in the midst of requests: every answer has its entry, once, and the log is signed to its end", async () => {
  await using api = await openService();
  await using world = await openAskingWorld(api, { tunnels: TUNNELS });
  await underLoad(world);
  await world.first[Symbol.asyncDispose]();
  await world.stop();
  const entries = await injectedIn(world.state);
  expect([...world.answered.keys()].filter((path) => entries.get(path) !== 1)).toEqual([]);
  expect((await verifyLog(await openLogSource(world.state.directory))).unprotected).toBe(0);
  // Beside what was answered, what was under way.
  expect(entries.size).toBeLessThanOrEqual(world.answered.size + TUNNELS);
}, 60_000);

test("kill -9 of the key-holder in the midst of requests costs entries of the last moment alone", async () => {
  await using api = await openService();
  await using world = await openAskingWorld(api, { tunnels: TUNNELS });
  await underLoad(world);
  const killedAt = performance.now();
  await world.first.kill();
  await world.stop();
  // What a crash left half written is put aside by who writes next.
  await (await world.state.start({ config: world.config }))[Symbol.asyncDispose]();
  expect(await amiss(world, killedAt)).toEqual({ missing: [], doubled: [] });
}, 60_000);

test("kill -9 of a worker costs entries of its last moment alone, and that it was lost is on record", async () => {
  await using api = await openService();
  await using world = await openAskingWorld(api, { tunnels: TUNNELS });
  await underLoad(world);
  const [worker = 0] = await world.first.workerPids();
  const killedAt = performance.now();
  process.kill(worker, "SIGKILL");
  await world.stop();
  await eventually("its successor", async () => {
    const { workers } = await world.first.call("status", null);
    return workers.every(({ pid, isReady }) => isReady && pid !== worker);
  });
  await world.first[Symbol.asyncDispose]();
  expect(await amiss(world, killedAt)).toEqual({ missing: [], doubled: [] });
  const lost = (await entriesIn(world.state)).filter(({ kind }) => kind === "gate.worker_lost");
  expect(lost.map(({ data }) => data)).toEqual([{ worker: 0 }]);
}, 60_000);
