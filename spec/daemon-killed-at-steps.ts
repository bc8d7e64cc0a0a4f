import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { attachTracer, eventually, findCall, type World } from "@gatehouse/testbed";
import { expect } from "vitest";

/** A moment in what the daemon does: just before the `nth` call that matches, by default the first. */
export interface Step {
  readonly name: string;
  readonly call: RegExp;
  readonly nth?: number;
}

export interface ListedRun {
  readonly run_id: string;
  readonly state: string;
}

/** What is done while the daemon is killed; prepared by `prepare`, which returns it. */
type Prepare = () => Promise<() => Promise<void>>;

const CALLS = ["accept4", "clone", "clone3", "connect", "fsync", "mkdir", "rename", "rmdir", "unlink"] as const;

/** Does the same once more for each step, kills the daemon there, starts it again, and calls `check`. */
export async function killAtEach(
  world: World,
  steps: readonly Step[],
  { prepare, check }: { readonly prepare: Prepare; readonly check: () => Promise<void> },
): Promise<void> {
  const whole = await record(world, prepare);
  await check();
  for (const { name, call, nth } of steps) {
    const killAt = findCall(whole, call, nth);
    const act = await prepare();
    const trace = tracePath(world, name);
    await using _ = await attachTracer(world.daemon.pid, { trace, calls: CALLS, killAt });
    await act();
    await eventually(`the daemon's death when ${name}`, () => !world.daemon.isRunning);
    expect(findCall(await readFile(trace, "utf8"), call, nth), name).toEqual(killAt);
    await world.daemon.start();
    await check();
  }
}

/** Every call of it when nothing is killed. */
async function record(world: World, prepare: Prepare): Promise<string> {
  const act = await prepare();
  const trace = tracePath(world, "whole");
  const tracer = await attachTracer(world.daemon.pid, { trace, calls: CALLS });
  await act();
  await tracer[Symbol.asyncDispose]();
  return readFile(trace, "utf8");
}

function tracePath(world: World, name: string): string {
  return join(world.paths.directory, `${name.replaceAll(" ", "-")}.trace`);
}

export async function listRuns(world: World): Promise<readonly ListedRun[]> {
  return (await world.cliJson(["ls"])) as readonly ListedRun[];
}

/** Every run is wholly there, so that it can be stopped, or wholly gone: no process, no token, no file of it. */
export async function expectWhollyThereOrGone(world: World): Promise<void> {
  const live = await world.liveRuns();
  for (const runId of live) expect((await world.cli(["stop", runId])).code).toBe(0);
  await eventually("the end of every keeper", async () => (await world.pids("keeper")).length === 0);
  expect(await world.sandboxPids()).toEqual([]);
  expect((await world.request("GET", "/v1/runs")).body).toEqual([]);
  expect(await readdir(join(world.paths.stateDir, "keepers"))).toEqual([]);
  const ended = await listRuns(world);
  expect(ended.filter(({ state }) => state !== "exited")).toEqual([]);
  expect(await readdir(join(world.paths.stateDir, "runs"))).toHaveLength(ended.length);
}
