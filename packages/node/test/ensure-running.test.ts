import { mkdtemp, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { requestUnix, resolveEntry } from "@gatehouse/kit";
import { eventually, isAlive } from "@gatehouse/testbed";
import { expect, test } from "vitest";
import { type EnsureRunningOptions, ensureRunning, type RunningDaemon } from "../src/daemon/ensure-running.ts";

/** A state directory, and how a daemon is started there. */
async function newState(settings: object = {}) {
  const directory = await mkdtemp(join(tmpdir(), "gh-ensure-"));
  const config = join(directory, "config.yaml");
  await writeFile(config, JSON.stringify({ gate: { workers: 1, engines: [] }, ...settings }));
  const stateDir = join(directory, "state");
  const args = ["up", "--json", "--state-dir", stateDir, "--config", config];
  const options = (...flags: readonly string[]): EnsureRunningOptions => ({
    stateDir,
    command: [process.execPath, resolveEntry("gatehouse"), ...args, ...flags],
  });
  const started: RunningDaemon[] = [];
  const stop = async ({ health, socketPath }: RunningDaemon) => {
    if (!(await isAlive(health.pid))) return;
    await requestUnix({ socketPath, method: "POST", path: "/v1/shutdown" });
    await eventually("the daemon's end", async () => !(await isAlive(health.pid)));
  };
  return {
    directory,
    stateDir,
    options,
    ensure: async (...flags: readonly string[]) => {
      const daemon = await ensureRunning(options(...flags));
      if (daemon.isNew) started.push(daemon);
      return daemon;
    },
    [Symbol.asyncDispose]: async () => {
      for (const daemon of started) await stop(daemon);
      await rm(directory, { recursive: true, force: true });
    },
  };
}

test("however many ask at once, one daemon is started, and later callers find it", async () => {
  await using state = await newState();
  const daemons = await Promise.all(Array.from({ length: 8 }, () => state.ensure("--until-empty")));
  expect(new Set(daemons.map(({ health }) => health.pid)).size).toBe(1);
  expect(daemons.filter(({ isNew }) => isNew)).toHaveLength(1);
  const lock = JSON.parse(await readFile(join(state.stateDir, "daemon.lock"), "utf8"));
  const { health, socketPath } = await state.ensure();
  expect(lock).toEqual({
    pid: health.pid,
    proxy_port: health.proxy_port,
    sock_path: socketPath,
    started_at: expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/),
    commit: health.commit,
  });
  expect((await stat(join(state.stateDir, "daemon.log"))).mode & 0o777).toBe(0o600);
});

test("a lock of a dead process, and a socket that answers no health, count as absent", async () => {
  await using state = await newState();
  const first = await state.ensure();
  process.kill(first.health.pid, "SIGKILL");
  await eventually("its end", async () => !(await isAlive(first.health.pid)));
  const second = await state.ensure();
  expect(second.health.pid).not.toBe(first.health.pid);
  process.kill(second.health.pid, "SIGKILL");
  await eventually("its end", async () => !(await isAlive(second.health.pid)));

  const lock = join(state.stateDir, "daemon.lock");
  const details = JSON.parse(await readFile(lock, "utf8"));
  // A stranger that took the number over, and something that listens but is no daemon.
  await writeFile(lock, JSON.stringify({ ...details, pid: process.pid }), { mode: 0o600 });
  const silent = createServer((socket) => socket.destroy());
  await new Promise<void>((resolve) => silent.listen(`${second.socketPath}.other`, resolve));
  await rename(`${second.socketPath}.other`, second.socketPath);
  const third = await state.ensure();
  expect(third.isNew).toBe(true);
  silent.close();
  expect((await state.ensure()).health.pid).toBe(third.health.pid);
});

test("a daemon that is not needed any more ends, socket and lock with it; one that a person started stays", async () => {
  const settings = { node: { emptyTimeoutMs: 1_000 } };
  await using state = await newState(settings);
  await using other = await newState(settings);
  const kept = await other.ensure();
  const spawned = await state.ensure("--until-empty");
  const body = { run_id: "r1" };
  const { body: run } = await requestUnix({ socketPath: spawned.socketPath, method: "POST", path: "/v1/runs", body });
  const token = (run as { auth_token: string }).auth_token;
  await requestUnix({ socketPath: spawned.socketPath, method: "DELETE", path: `/v1/runs/${token}` });
  await eventually("its end", async () => !(await isAlive(spawned.health.pid)), { timeoutMs: 10_000 });
  for (const name of ["daemon.sock", "node.sock", "daemon.lock"]) {
    await expect(stat(join(state.stateDir, name))).rejects.toMatchObject({ code: "ENOENT" });
  }
  expect((await other.ensure()).health.pid).toBe(kept.health.pid);
});

test("a daemon that cannot start says why", async () => {
  await using state = await newState({ gate: { workers: 0 } });
  await expect(ensureRunning(state.options())).rejects.toMatchObject({
    code: "daemon.start_failed",
    detail: expect.stringContaining("gate.workers"),
  });
});
