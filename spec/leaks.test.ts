import { readdir, readlink } from "node:fs/promises";
import { join } from "node:path";
import {
  eventually,
  findLeftovers,
  findLiveFiles,
  listProcesses,
  type RunningCommand,
  startWorld,
  type World,
} from "@gatehouse/testbed";
import { expect, test } from "vitest";
import { openGrantedApi } from "./granted-api.ts";

const IS_SOAK = process.env.TESTBED_SOAK === "1";
const RUNS = IS_SOAK ? 100 : 30;

test(
  `after ${RUNS} runs with kills in between nothing is left`,
  async () => {
    await using world = await startWorld();
    await using granted = await openGrantedApi(world);
    const { grant, policy, origin } = granted;
    const curl = ["curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", origin];
    expect((await world.run(curl, { grants: [grant], policy })).stdout).toBe("200");
    const before = await takeStock(world);

    for (let round = 0; round < RUNS; round += 1) {
      try {
        await ENDINGS[round % ENDINGS.length]?.(world, { grant, policy, origin });
      } catch (cause) {
        throw new Error(`round ${round} failed: ${world.daemon.log.slice(-4_000)}`, { cause });
      }
    }
    // Whatever was killed, the product still works.
    expect((await world.run(curl, { grants: [grant], policy })).stdout).toBe("200");

    await eventually("as many processes as before", async () => (await world.processes()).length <= before.processes, {
      timeoutMs: 15_000,
    });
    // A run whose keeper was killed is found by the daemon's next look, which it takes every 30 s.
    await eventually("the end of the last run", async () => (await world.liveRuns()).length === 0, {
      timeoutMs: 40_000,
      everyMs: 500,
    });
    const after = await takeStock(world);
    expect(after.files).toEqual(before.files);
    expect(after.runs).toBe(0);
    expect(after.mounts).toEqual(before.mounts);
    expect(after.namespaces).toEqual(before.namespaces);
    // A socket or two may be on their way out; a leak grows with every run.
    expect(after.descriptors).toBeLessThan(before.descriptors + 10);
    expect((await world.request("GET", "/v1/runs")).body).toEqual([]);
  },
  IS_SOAK ? 900_000 : 240_000,
);

interface Target {
  readonly grant: string;
  readonly policy: string;
  readonly origin: string;
}

/** How a run ends, well or badly. */
const ENDINGS: readonly ((world: World, target: Target) => Promise<void>)[] = [
  async (world, { grant, policy, origin }) => {
    const { code } = await world.run(["curl", "-sS", origin], { grants: [grant], policy });
    expect(code).toBe(0);
  },
  async (world) => {
    const running = await startSleeper(world);
    running.kill("SIGKILL");
    await ended(running);
  },
  async (world) => {
    const running = await startSleeper(world);
    for (const pid of await world.pids("keeper")) killIfThere(pid);
    await ended(running);
  },
  async (world) => {
    const running = world.startRun(["sh", "-c", "echo up; exec sleep 600"]);
    await running.line("the run's start", (line) => line === "up");
    running.kill("SIGTERM");
    await ended(running);
  },
  async (world) => {
    const running = await startSleeper(world);
    for (const pid of await world.sandboxPids()) killIfThere(pid);
    await ended(running);
  },
  async (world) => {
    const { stdout } = await world.cli(["run", "--detach", "--json", ...marked(world), "--", "sleep", "600"]);
    const { run_id } = JSON.parse(stdout) as { readonly run_id: string };
    expect((await world.cli(["stop", run_id])).code).toBe(0);
  },
  async (world) => {
    const running = await startSleeper(world);
    await world.daemon.kill();
    running.kill("SIGKILL");
    await ended(running);
    await world.daemon.start();
  },
  async (world) => {
    const running = await startSleeper(world);
    await world.killGate("holder");
    for (const pid of await world.sandboxPids()) killIfThere(pid);
    await ended(running);
    // The local API is the key-holder's: it is away for as long as that restarts.
    await eventually("the local API", () =>
      world.request("GET", "/v1/health").then(
        () => true,
        () => false,
      ),
    );
  },
];

/** Waits for the command line's own end: a sandbox that outlived it would hold its streams open for ever. */
async function ended(running: RunningCommand): Promise<void> {
  await eventually("the end of the command line", () => !running.isRunning, { timeoutMs: 15_000 });
}

const marked = (world: World) => ["--env", `TESTBED_WORLD=${world.paths.directory}`];

async function startSleeper(world: World) {
  // A child that ignores signals and a grandchild in a session of its own: both must go with their run.
  const script = "trap '' TERM HUP INT; setsid sleep 601 & echo up; sleep 600 & wait; wait";
  const running = world.startRun(["sh", "-c", script]);
  await running.line("the run's start", (line) => line === "up");
  return running;
}

/** What the product holds at one moment. */
async function takeStock(world: World) {
  const { processes, mounts } = await findLeftovers(world.paths.directory);
  const live = await findLiveFiles(world.paths.stateDir);
  const runs = await readdir(join(world.paths.stateDir, "runs"));
  const temporary = await readdir(join(world.paths.directory, "tmp"));
  return {
    processes: processes.length,
    mounts,
    files: [...live, ...temporary],
    // Ended detached runs keep their output until it is pruned; every other run leaves nothing.
    runs: runs.length - ((await world.cliJson(["ls"])) as unknown[]).length,
    namespaces: await countNamespaces(world),
    descriptors: await countDescriptors(processes.map(({ pid }) => pid)),
  };
}

/** Network namespaces of this world's processes, and those that they hold open. */
async function countNamespaces(world: World): Promise<number> {
  const pids = new Set((await world.processes()).map(({ pid }) => pid));
  const own = (await listProcesses())
    .filter(({ pid }) => pids.has(pid))
    .map(({ networkNamespace }) => networkNamespace);
  const held = (await Promise.all([...pids].map(openFiles)))
    .flat()
    .filter((name) => /^(?:net|mnt|user|pid):\[/.test(name));
  return new Set([...own, ...held]).size;
}

async function countDescriptors(pids: readonly number[]): Promise<number> {
  return (await Promise.all(pids.map(openFiles))).flat().length;
}

async function openFiles(pid: number): Promise<readonly string[]> {
  const folder = `/proc/${pid}/fd`;
  const names = await readdir(folder).catch(() => []);
  return Promise.all(names.map((name) => readlink(join(folder, name)).catch(() => "")));
}

function killIfThere(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch (failure) {
    // The first one's end may have taken the others along.
    if ((failure as NodeJS.ErrnoException).code !== "ESRCH") throw failure;
  }
}
