import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdir, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { openExclusiveLock } from "../../src/files/exclusive-lock.ts";
import { openDaemonLock, readDaemonLock } from "../../src/index.ts";
import { temporaryDirectory } from "../temporary-directory.ts";

const details = { pid: process.pid, proxy_port: 0, sock_path: "/s", started_at: "2026-01-01T00:00:00Z", commit: "c" };

test("the lock file says who runs, follows updates, and is gone after a clean stop", async () => {
  await using place = await temporaryDirectory();
  {
    await using lock = await openDaemonLock(place.path, details);
    expect(JSON.parse(await readFile(join(place.path, "daemon.lock"), "utf8"))).toEqual(details);
    await lock.update({ proxy_port: 8_080 });
    expect(await readDaemonLock(place.path)).toEqual({ ...details, proxy_port: 8_080 });
    expect((await stat(join(place.path, "daemon.lock"))).mode & 0o777).toBe(0o600);
    await expect(openDaemonLock(place.path, details)).rejects.toMatchObject({ code: "state.locked" });
  }
  expect(await readdir(place.path)).toEqual([]);
  await using again = await openDaemonLock(place.path, details);
  expect(again).toBeDefined();
});

test("a second process is refused by pid until the first is dead, however it died", async () => {
  await using place = await temporaryDirectory();
  const holder = spawn(process.execPath, [fileURLToPath(new URL("hold-lock.ts", import.meta.url)), place.path]);
  await once(holder.stdout, "data");
  await expect(openDaemonLock(place.path, details)).rejects.toMatchObject({
    code: "state.locked",
    detail: expect.stringContaining(`Process ${holder.pid} holds`),
  });
  expect(await readDaemonLock(place.path)).toMatchObject({ pid: holder.pid });
  holder.kill("SIGKILL");
  await once(holder, "exit");
  expect(await readDaemonLock(place.path)).toBeUndefined();
  await using lock = await openDaemonLock(place.path, details);
  expect(lock).toBeDefined();
});

test("a lock file that cannot be understood counts as absent", async () => {
  await using place = await temporaryDirectory();
  for (const text of ["", "{", "[]", "null", '{"pid":0}', JSON.stringify({ ...details, pid: -1 })]) {
    await writeFile(join(place.path, "daemon.lock"), text, { mode: 0o600 });
    expect(await readDaemonLock(place.path), text).toBeUndefined();
  }
});

test("without native calls a SQLite file holds the lock", async () => {
  await using place = await temporaryDirectory();
  const calls = { available: false, flock: () => expect.unreachable() };
  const first = openExclusiveLock(place.path, calls);
  expect(first).toBeDefined();
  expect(openExclusiveLock(place.path, calls)).toBeUndefined();
  first?.[Symbol.dispose]();
  using again = openExclusiveLock(place.path, calls);
  expect(again).toBeDefined();
  expect((await stat(join(place.path, "daemon.lock.db"))).mode & 0o777).toBe(0o600);
});
