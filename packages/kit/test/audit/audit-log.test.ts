import { appendFile, readdir, readFile, rm, stat, truncate, writeFile } from "node:fs/promises";
import { expect, test, vi } from "vitest";
import { openLogSource, verifyLog } from "../../src/index.ts";
import { BreakableStore, event, LOG_ID, noSpace, openLogPlace } from "./log-under-test.ts";

const FIRST = "0000000000000000.jsonl";

test("what was appended is on the disk when it is answered, numbered, and covered by a signed head at the end", async () => {
  await using place = await openLogPlace();
  const log = await place.open();
  await Promise.all([log.append(event(0)), log.append(event(1))]);
  const lines = (await readFile(place.file(FIRST), "utf8")).trim().split("\n");
  expect(lines.slice(1).map((line) => JSON.parse(line))).toMatchObject([
    { seq: 0, node: LOG_ID, org: null, run: "run-0", data: { number: 0, rule: null } },
    { seq: 1, run: "run-1" },
  ]);
  await log[Symbol.asyncDispose]();
  const verified = await verifyLog(await openLogSource(place.directory), { pinned: place.key.publicKey });
  expect(verified).toMatchObject({ log: LOG_ID, entries: 2, heads: 1, unprotected: 0 });
  expect((await stat(place.file(FIRST))).mode & 0o777).toBe(0o600);
});

test("entries that nobody waits for are durable within a moment, and a head follows by itself", async () => {
  await using place = await openLogPlace();
  await using log = await place.open({ flushMs: 1, headMs: 1 });
  log.note([event(0), event(1), event(2)]);
  await vi.waitFor(async () => {
    expect(await verifyLog(await openLogSource(place.folder))).toMatchObject({ entries: 3, unprotected: 0 });
  });
  expect(log.size).toBe(3);
});

test("a log goes on where it ended, over many segments, as one", async () => {
  await using place = await openLogPlace();
  for (let round = 0; round < 4; round += 1) {
    await using log = await place.open({ segmentBytes: 2_000 });
    for (let number = 0; number < 15; number += 1) await log.append(event(number));
    expect(log.size).toBe(15 * (round + 1));
  }
  expect((await readdir(place.folder)).length).toBeGreaterThan(5);
  expect(await verifyLog(await openLogSource(place.folder))).toMatchObject({ entries: 60, unprotected: 0 });
});

test("what a crash left half written is put aside and said; every entry before it stays", async () => {
  await using place = await openLogPlace();
  const log = await place.open({ headMs: 3_600_000 });
  for (let number = 0; number < 5; number += 1) await log.append(event(number));
  // The process ends here: no head, and half a group behind what was answered.
  const crashed = await place.crash();
  await log[Symbol.asyncDispose]();
  await crashed();
  await appendFile(place.file(FIRST), '{"actor":"run","agent":null,"da');
  const after = await place.open();
  expect(after.size).toBe(5);
  await after.append(event(5));
  await after[Symbol.asyncDispose]();
  const names = await readdir(place.folder);
  const torn = names.find((name) => name.includes(".torn-")) ?? "";
  expect(await readFile(place.file(torn), "utf8")).toBe('{"actor":"run","agent":null,"da');
  expect(await readFile(place.file(FIRST), "utf8")).toContain('"kind":"audit.tail_cut"');
});

test("a segment that a crash left without its first line is put aside", async () => {
  await using place = await openLogPlace();
  {
    await using log = await place.open();
    await log.append(event(0));
  }
  await writeFile(place.file("0000000000000001.jsonl"), '{"first":1,"gate');
  await using log = await place.open();
  await log.append(event(1));
  expect(log.size).toBe(3);
});

test("entries that were signed and are gone or changed keep the log from being opened, and nothing is written", async () => {
  const damages: readonly (readonly [string, (file: (name: string) => string) => Promise<unknown>])[] = [
    ["cut off", async (file) => truncate(file(FIRST), (await stat(file(FIRST))).size - 500)],
    ["deleted", async (file) => rm(file(FIRST))],
    [
      "changed",
      async (file) => writeFile(file(FIRST), (await readFile(file(FIRST), "utf8")).replace("run-1", "run-9")),
    ],
    [
      "changed, their head taken away",
      async (file) => {
        const lines = (await readFile(file(FIRST), "utf8")).replace("run-1", "run-9").trim().split("\n");
        await writeFile(file(FIRST), `${lines.slice(0, -1).join("\n")}\n`);
      },
    ],
  ];
  for (const [what, damage] of damages) {
    await using place = await openLogPlace();
    {
      await using log = await place.open();
      for (let number = 0; number < 3; number += 1) await log.append(event(number));
    }
    await damage((name) => place.file(name));
    const before = await readFile(place.file(FIRST), "utf8").catch(() => "");
    await expect(place.open(), what).rejects.toMatchObject({
      code: expect.stringMatching(/audit.tampered|state.corrupt/),
    });
    expect(await readFile(place.file(FIRST), "utf8").catch(() => ""), what).toBe(before);
  }
});

test("a log has one writer: a second waits until the first has closed it", async () => {
  await using place = await openLogPlace();
  const first = await place.open();
  await first.append(event(0));
  const opening = place.open();
  await first.append(event(1));
  await first[Symbol.asyncDispose]();
  await using second = await opening;
  expect(second.size).toBe(2);
});

test("another identity key does not go on with the log", async () => {
  await using place = await openLogPlace();
  await using other = await openLogPlace();
  {
    await using log = await place.open();
    await log.append(event(0));
  }
  await expect(place.open({ key: other.key })).rejects.toMatchObject({ code: "state.corrupt" });
});

test("a full disk: what is asked is refused, what happened waits in order, and all of it is there afterwards", async () => {
  await using place = await openLogPlace();
  const store = new BreakableStore(place.folder);
  const log = await place.open({ store });
  await log.append(event(0));
  store.fault = noSpace();
  await expect(log.append(event(1))).rejects.toMatchObject({ code: "audit.unwritable", detail: "ENOSPC." });
  expect(place.states).toEqual([{ isTaking: false, reason: "ENOSPC" }]);
  await expect(log.append(event(2))).rejects.toMatchObject({ code: "audit.unwritable" });
  log.note([event(3)]);
  await expect(log.settled()).rejects.toMatchObject({ code: "audit.unwritable" });
  await expect(log.signHead()).rejects.toMatchObject({ code: "audit.unwritable" });
  store.fault = undefined;
  await vi.waitUntil(() => log.state.isTaking, { timeout: 5_000 });
  await log.append(event(4));
  await log[Symbol.asyncDispose]();
  const lines = (await readFile(place.file(FIRST), "utf8")).trim().split("\n");
  // The second was asked for and handed over before the disk was full; the third never was.
  expect(lines.flatMap((line) => JSON.parse(line).data?.number ?? [])).toEqual([0, 1, 3, 4]);
  expect(await verifyLog(await openLogSource(place.folder))).toMatchObject({ entries: 4, unprotected: 0 });
});

test("a disk that hangs: after a second entries are asked for no more, until it answers", async () => {
  await using place = await openLogPlace();
  const store = new BreakableStore(place.folder);
  await using log = await place.open({ store });
  const hanging = Promise.withResolvers<void>();
  store.gate = hanging.promise;
  log.note([event(0)]);
  await vi.waitUntil(() => !log.state.isTaking, { timeout: 5_000 });
  expect(log.state.reason).toBe("the disk is slow");
  hanging.resolve();
  await vi.waitUntil(() => log.state.isTaking, { timeout: 5_000 });
  expect(place.states.map(({ isTaking }) => isTaking)).toEqual([false, true]);
});

test("what comes while a group is being written is written right after it", async () => {
  await using place = await openLogPlace();
  const store = new BreakableStore(place.folder);
  await using log = await place.open({ store, flushMs: 1, headMs: 3_600_000 });
  const hanging = Promise.withResolvers<void>();
  store.gate = hanging.promise;
  log.note([event(0)]);
  await vi.waitUntil(() => !log.state.isTaking, { timeout: 5_000 });
  log.note([event(1)]);
  // Its own timer, which was set before, has run out by then.
  await new Promise((resolve) => setTimeout(resolve, 10));
  hanging.resolve();
  await log.written();
  expect(log.size).toBe(2);
});

test("more than can wait is asked for no more; what was handed over is all written, in groups", async () => {
  await using place = await openLogPlace();
  const store = new BreakableStore(place.folder);
  const log = await place.open({ store });
  const hanging = Promise.withResolvers<void>();
  store.gate = hanging.promise;
  log.note(Array.from({ length: 70_000 }, (_, number) => event(number)));
  expect(log.state.isTaking).toBe(false);
  hanging.resolve();
  await log.settled();
  expect({ size: log.size, isTaking: log.state.isTaking }).toEqual({ size: 70_000, isTaking: true });
  expect(store.writes).toBeLessThan(20);
  await log[Symbol.asyncDispose]();
});
