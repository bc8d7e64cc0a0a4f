import { appendFileSync, readFileSync, rmSync, statfsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { type BrokenCall, breakEach, countRecorded, openPostgres, recordCalls, runProcess } from "@gatehouse/testbed";
import { describe, expect, test } from "vitest";
import { FaultStory } from "./fault-story.ts";
import { refused } from "./fleet-under-test.ts";
import { ServerProcess } from "./server-process.ts";

const SAMPLES = 3;
const BACK_WITHIN_MS = 30_000;
const CALLS = ["fsync", "pwrite64"] as const;
const ATTEMPTS = 3;
/** Every write of a story, seconds each. */
const SOAK_MS = 36_000_000;
/** Steps of the story, each of which may fail, and fail once more while connections are found out to be dead. */
const MAX_FAILURES = 36;

function storyOf(server: ServerProcess): FaultStory {
  return new FaultStory(server, readFileSync(join(server.stateDir, "setup-code"), "utf8").trim());
}

async function countCalls(): Promise<Readonly<Record<(typeof CALLS)[number], number>>> {
  await using server = new ServerProcess();
  const path = join(server.root, "calls");
  await server.start({ inside: recordCalls(path, CALLS) });
  const story = storyOf(server);
  await story.play();
  await story.expectAll();
  await server.stop("SIGTERM");
  return await countRecorded(path, CALLS);
}

/** Starts a server that breaks, plays as far as it gets, starts it again as it is, and plays to the end. */
async function playThrough(inside: readonly string[], { fault }: BrokenCall): Promise<void> {
  await using server = new ServerProcess();
  const isUp = await server.start({ inside }).then(
    () => true,
    () => false,
  );
  let story = isUp ? storyOf(server) : undefined;
  for (let attempt = 0; story !== undefined && attempt < ATTEMPTS && server.isRunning; attempt += 1) {
    if (await story.play().then(isDone, isFailed)) break;
  }
  // A disk that fails ends no server that was up.
  if (isUp && fault !== "signal=SIGKILL") expect(server.isRunning, server.output).toBe(true);
  await server.stop();
  const since = performance.now();
  await server.start();
  story ??= storyOf(server);
  await story.play();
  expect(performance.now() - since).toBeLessThan(BACK_WITHIN_MS);
  await story.expectAll();
  await server.stop("SIGTERM");
  expectSound(join(server.stateDir, "server", "server.db"));
}

const isDone = () => true;
const isFailed = () => false;

function expectSound(path: string): void {
  using database = new DatabaseSync(path, { readOnly: true });
  expect(database.prepare("PRAGMA integrity_check").all()).toEqual([{ integrity_check: "ok" }]);
  expect(database.prepare("PRAGMA foreign_key_check").all()).toEqual([]);
}

/** A disk of its own under a directory that is empty yet. */
async function openSmallDisk(directory: string) {
  const mounted = await runProcess("mount", ["-t", "tmpfs", "-o", "size=8m,mode=0700", "tmpfs", directory]);
  expect(mounted.code, mounted.stderr).toBe(0);
  const filler = join(directory, "filler");
  return {
    fill: () => {
      const { bavail, bsize } = statfsSync(directory);
      appendFileSync(filler, Buffer.alloc(bavail * bsize));
    },
    empty: () => rmSync(filler, { force: true }),
    [Symbol.asyncDispose]: async () => void (await runProcess("umount", ["--lazy", directory])),
  };
}

describe("a server on its embedded database", () => {
  test.each([
    { name: "kill -9 at a sync", call: "fsync", fault: "signal=SIGKILL", from: false },
    { name: "kill -9 at a write", call: "pwrite64", fault: "signal=SIGKILL", from: false },
    { name: "EIO at a sync", call: "fsync", fault: "error=EIO", from: false },
    { name: "a disk that is full from a write on", call: "pwrite64", fault: "error=ENOSPC", from: true },
  ] as const)(
    "$name: what was answered is there once, and everything goes on after a start",
    async (broken) => {
      const count = (await countCalls())[broken.call];
      expect(count).toBeGreaterThan(SAMPLES);
      await breakEach({ ...broken, count, samples: SAMPLES }, playThrough);
    },
    SOAK_MS,
  );
});

test("a disk that is full at every step until the step has failed: it says so, and all goes on without a start", async () => {
  await using server = new ServerProcess();
  await using disk = await openSmallDisk(server.stateDir);
  await server.start();
  const story = storyOf(server);
  const struck = new Set<string>();
  const strike = async (name: string) => {
    if (!struck.has(name)) disk.fill();
    struck.add(name);
  };
  const failures: unknown[] = [];
  const refuse = (failure: unknown) => {
    failures.push(failure);
    disk.empty();
    return false;
  };
  while (!(await story.play(strike).then(isDone, refuse))) expect(failures.length).toBeLessThanOrEqual(struck.size);
  expect(failures).toEqual(Array.from(struck, () => refused("state.write_failed")));
  await story.expectAll();
  await server.stop("SIGTERM");
  expectSound(join(server.stateDir, "server", "server.db"));
});

test("PostgreSQL is killed at every step: what was answered is there once, and the next attempts go on", async () => {
  await using postgres = await openPostgres({ fsync: true });
  await using server = new ServerProcess();
  const databaseUrlFile = join(server.root, "database-url");
  writeFileSync(databaseUrlFile, postgres.url(), { mode: 0o600 });
  await server.start({ databaseUrlFile });
  const story = storyOf(server);
  const struck = new Set<string>();
  let dying: Promise<void> | undefined;
  const revive = async () => {
    if (dying === undefined) return;
    await dying;
    dying = undefined;
    await postgres.start();
  };
  const strike = async (name: string) => {
    await revive();
    if (struck.has(name)) return;
    struck.add(name);
    dying = postgres.stop("SIGKILL");
  };
  let failures = 0;
  while (!(await story.play(strike).then(isDone, isFailed))) {
    failures += 1;
    expect(failures, server.output).toBeLessThan(MAX_FAILURES);
    await revive();
  }
  await revive();
  expect(failures).toBeGreaterThan(0);
  const since = performance.now();
  await story.expectAll();
  expect(performance.now() - since).toBeLessThan(BACK_WITHIN_MS);
  expect(server.isRunning).toBe(true);
}, 240_000);
