import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { mkdir, rename, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { requestUnix } from "@gatehouse/kit";
import { describe, expect, test } from "vitest";
import { askKeeper } from "../src/keeper/ask-keeper.ts";
import { keeperOf, type RunRecord } from "../src/runs/run-files.ts";
import type { DriverName } from "../src/sandbox/driver.ts";
import { probeDriver } from "../src/sandbox/probe.ts";
import { processesWith } from "./processes-with.ts";
import { openRuns } from "./runs-under-test.ts";
import { until } from "./until.ts";

const DRIVERS: readonly DriverName[] = ["bubblewrap", "unshare", "process"];

type Runs = Awaited<ReturnType<typeof openRuns>>;

const socketOf = (world: Runs, runId: string) => join(world.stateDir, "keepers", `${keeperOf(runId)}.sock`);
const logOf = (world: Runs, runId: string) => join(world.files.directory(keeperOf(runId)), "output.log");
const ended = (world: Runs, runId: string) =>
  until(() => {
    const record = world.runs.get(runId);
    return record.state === "exited" && record;
  });

async function keeperPid(world: Runs, runId: string): Promise<number> {
  const answer = (await askKeeper(socketOf(world, runId), { op: "status" })) as { readonly pid: number };
  return answer.pid;
}

for (const driver of DRIVERS) {
  const probe = await probeDriver(driver);
  describe(`a detached run by ${driver}`, { skip: !probe.ok }, () => {
    test("leaves its code and all that it said, and is over at the gate", async () => {
      await using world = await openRuns(driver);
      const { run_id } = await world.start("seq 1 100000; echo last >&2; exit 6");
      expect(await ended(world, run_id)).toMatchObject({ code: 6 });
      const said = readFileSync(logOf(world, run_id), "utf8");
      expect(said.length).toBe(588_895 + "last\n".length);
      expect(world.gate.ended).toEqual([run_id]);
      expect(existsSync(socketOf(world, run_id))).toBe(false);
    });

    test("is over when its keeper is killed, and leaves no process, mount or socket", async () => {
      await using world = await openRuns(driver);
      const { run_id } = await world.start("sleep 600 & echo up; wait");
      await until(() => existsSync(logOf(world, run_id)) && readFileSync(logOf(world, run_id), "utf8") === "up\n");
      process.kill(await keeperPid(world, run_id), "SIGKILL");
      if (driver !== "process") await until(() => processesWith(world.directory).length === 0);
      await world.runs.reconcile();
      expect(world.runs.get(run_id)).toMatchObject({ state: "exited", code: 137 });
      expect(world.gate.live.size).toBe(0);
      expect(existsSync(socketOf(world, run_id))).toBe(false);
      expect(readFileSync("/proc/self/mountinfo", "utf8")).not.toContain(world.directory);
      for (const pid of processesWith(world.directory)) process.kill(pid, "SIGKILL");
    });

    test("that has not started is over as soon as its keeper leaves a note of its end", async () => {
      await using world = await openRuns(driver);
      const { run_id } = await world.start("echo up", { detach: false });
      await world.runs.reconcile();
      expect(world.runs.get(run_id).state).toBe("starting");
      await writeFile(join(world.files.directory(keeperOf(run_id)), "exit.json"), JSON.stringify({ code: 125 }));
      await world.runs.reconcile();
      expect(world.runs.has(run_id)).toBe(false);
      expect(world.gate.ended).toEqual([run_id]);
    });

    test("is asked to stop, and its own answer is its code", async () => {
      await using world = await openRuns(driver);
      const { run_id } = await world.start("trap 'exit 9' TERM; echo up; while :; do sleep 0.05; done");
      await until(() => existsSync(logOf(world, run_id)) && readFileSync(logOf(world, run_id), "utf8") === "up\n");
      await world.runs.stop(run_id);
      expect(world.runs.get(run_id)).toMatchObject({ state: "exited", code: 9 });
    });

    if (driver === "process") return;

    test("starts in no directory that took the place of the one that was checked", async () => {
      await using world = await openRuns(driver);
      const secret = join(world.directory, "secret");
      await mkdir(secret);
      await writeFile(join(secret, "key"), "k");
      world.gate.onStartRun = async () => {
        await rename(world.workspace, join(world.directory, "moved"));
        await symlink(secret, world.workspace);
      };
      await expect(world.start("cat key > /tmp/x; touch key-was-seen")).rejects.toMatchObject({
        code: "sandbox.start_failed",
        detail: expect.stringContaining("no longer the directory"),
      });
      expect(readdirSync(secret)).toEqual(["key"]);
      expect(world.gate.live.size).toBe(0);
      expect(world.runs.list()).toEqual([]);
    });

    test("starts with no mount that took the place of the one that was checked", async () => {
      await using world = await openRuns(driver);
      const [shown, secret] = [join(world.directory, "shown"), join(world.directory, "secret")];
      for (const path of [shown, secret]) await mkdir(path);
      await writeFile(join(secret, "key"), "k");
      world.gate.onStartRun = async () => {
        await rename(shown, join(world.directory, "moved"));
        await rename(secret, shown);
      };
      await expect(world.start("touch started", { mounts: [shown] })).rejects.toMatchObject({
        detail: expect.stringContaining("no longer the directory"),
      });
      expect(readdirSync(world.workspace)).toEqual([]);
    });

    test("says why it did not start", async () => {
      await using world = await openRuns(driver);
      const gone = join(world.directory, "gone");
      world.gate.onStartRun = () => rename(world.workspace, gone);
      await expect(world.start("true")).rejects.toMatchObject({ detail: expect.stringContaining(world.workspace) });
      await rename(gone, world.workspace);
    });

    test("is not proven again before the next run, unless one could not be built", async () => {
      await using world = await openRuns(driver);
      await world.start("true");
      await world.start("true");
      expect(world.probed).toEqual([driver]);
      const gone = join(world.directory, "gone");
      world.gate.onStartRun = () => rename(world.workspace, gone);
      await expect(world.start("true")).rejects.toMatchObject({ code: "sandbox.start_failed" });
      await rename(gone, world.workspace);
      world.gate.onStartRun = () => Promise.resolve();
      await world.start("true");
      expect(world.probed).toEqual([driver, driver]);
    });
  });
}

const isolating = (
  await Promise.all(
    ["bubblewrap" as const, "unshare" as const].map(async (name) => [name, await probeDriver(name)] as const),
  )
).find(([, probe]) => probe.ok)?.[0];

describe("runs", { skip: isolating === undefined }, () => {
  const driver = isolating ?? "process";

  test("that are being created are not taken for leftovers", async () => {
    await using world = await openRuns(driver);
    world.gate.onStartRun = () => world.runs.reconcile();
    const { run_id } = await world.start("echo up");
    expect(await ended(world, run_id)).toMatchObject({ code: 0 });
  });

  test("that their daemon left while it started them are over when the next one opens, unless somebody may still come", async () => {
    await using world = await openRuns(driver);
    const leave = async (runId: string, isDetached: boolean) => {
      const [keeper, createdAt] = [keeperOf(runId), Date.now()];
      const asked = { command: ["true"], workspace: world.workspace, grants: [], isDetached };
      const record: RunRecord = { runId, keeper, driver, ...asked, createdAt, state: "starting" };
      await world.files.create(record, { policy: { mode: "strict" }, isCommanded: false });
      world.gate.live.set(runId, keeper);
    };
    await leave("alone", true);
    await leave("launched", true);
    await leave("foreground", false);
    const launchFile = join("/by/another/path", keeperOf("launched"), "launch.json");
    const launched = spawn("/bin/sh", ["-c", "read -r _", launchFile], { stdio: ["pipe", "ignore", "ignore"] });
    const states = (runs: Runs["runs"]) => Object.fromEntries(runs.list().map(({ runId, state }) => [runId, state]));
    const starting = { alone: "starting", launched: "starting", foreground: "starting" };
    expect(states(await world.openNext({ takesOver: true }))).toEqual(starting);
    const runs = await world.openNext({ takesOver: false });
    expect(states(runs)).toEqual({ ...starting, alone: "exited" });
    expect(world.gate.ended).toEqual(["alone"]);
    launched.stdin.end();
    await once(launched, "exit");
    await runs.reconcile();
    expect(states(runs)).toEqual({ ...starting, alone: "exited", launched: "exited" });
  });

  test("that the gate knows and the node does not are ended", async () => {
    await using world = await openRuns(driver);
    world.gate.live.set("of-another-life", "0123456789abcdef");
    world.gate.live.set("registered-from-outside", undefined);
    await world.runs.reconcile();
    expect(world.gate.ended).toEqual(["of-another-life"]);
  });

  test("whose keeper is slow are not over", async () => {
    await using world = await openRuns(driver);
    const { run_id } = await world.start("sleep 600");
    const pid = await keeperPid(world, run_id);
    process.kill(pid, "SIGSTOP");
    await world.runs.reconcile();
    process.kill(pid, "SIGCONT");
    expect(world.runs.get(run_id).state).toBe("running");
    expect(world.gate.ended).toEqual([]);
  });

  test("get no place within another, where the outer one's owner could lead it astray", async () => {
    await using world = await openRuns(driver);
    const inner = join(world.workspace, "inner");
    await mkdir(inner);
    for (const mounts of [[inner], [world.workspace, inner]]) {
      await expect(world.start("touch started", { mounts })).rejects.toMatchObject({
        code: "sandbox.workspace_refused",
        detail: expect.stringContaining(inner),
      });
    }
    expect(readdirSync(world.workspace)).toEqual(["inner"]);
    expect(world.gate.ended).toEqual([]);
  });

  test("take signals of this system and refuse others", async () => {
    await using world = await openRuns(driver);
    const { run_id } = await world.start("trap 'exit 4' USR1; echo up; while :; do sleep 0.05; done");
    await until(() => existsSync(logOf(world, run_id)) && readFileSync(logOf(world, run_id), "utf8") === "up\n");
    const send = (signal: string) =>
      requestUnix({
        socketPath: world.socketPath,
        method: "POST",
        path: `/v1/sandboxes/${run_id}/signal`,
        body: { signal },
      });
    expect((await send("SIGNOTHING")).status).toBe(400);
    expect((await send("SIGUSR1")).status).toBe(204);
    expect(await ended(world, run_id)).toMatchObject({ code: 4 });
  });
});
