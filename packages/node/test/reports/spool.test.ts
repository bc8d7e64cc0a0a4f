import { appendFileSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { Spool } from "../../src/reports/spool.ts";

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "gatehouse-spool-"));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const open = (maxBytes = 64 * 1_048_576) => Spool.open({ directory, maxBytes, now: () => 1_000 });
const offsets = (spool: Spool) => spool.read(64 * 1_048_576)?.batches.map(({ offset }) => offset) ?? [];

function fill(spool: Spool, count: number, bytes = 10): void {
  for (let at = 0; at < count; at += 1) spool.append((offset) => Buffer.alloc(bytes, offset));
}

test("batches keep their numbers until they are acknowledged, over any number of starts", () => {
  const first = open();
  fill(first, 3);
  const again = open();
  expect(again.source).toBe(first.source);
  expect(offsets(again)).toEqual([0, 1, 2]);
  again.acknowledge(1);
  fill(again, 1);
  expect(offsets(again)).toEqual([2, 3]);
  again.acknowledge(3);
  expect(again.read(1_000)).toBeUndefined();
  const empty = open();
  fill(empty, 1);
  expect(offsets(empty)).toEqual([4]);
});

test("a batch that was half written when the process died is cut off, and its number given anew", () => {
  fill(open(), 2);
  const [name = ""] = readdirSync(directory).filter((one) => one.endsWith(".spool"));
  appendFileSync(join(directory, name), Buffer.from([9, 0, 0, 0, 1, 2, 3, 4, 5]));
  const spool = open();
  expect(offsets(spool)).toEqual([0, 1]);
  fill(spool, 1);
  expect(offsets(spool)).toEqual([0, 1, 2]);
});

test("when it is full the oldest go, and a gap says how many, also after a start", () => {
  const spool = open(3 * 1_048_576);
  fill(spool, 50, 100_000);
  const { gap, batches } = spool.read(64 * 1_048_576) ?? {};
  expect(gap).toMatchObject({ first: 0, through: (batches?.[0]?.offset ?? 0) - 1, batches: batches?.[0]?.offset });
  expect(batches?.at(-1)?.offset).toBe(49);
  expect(spool.depth).toBeLessThanOrEqual(3 * 1_048_576);
  expect(open(3 * 1_048_576).read(1)?.gap).toEqual(gap);
  spool.acknowledge(gap?.through ?? 0);
  expect(spool.read(1)?.gap).toBeUndefined();
});

test("a server that lost what it had acknowledged is told that it does not come again", () => {
  const spool = open();
  fill(spool, 5);
  spool.acknowledge(3);
  spool.expect(2);
  const { gap, batches } = spool.read(1_000) ?? {};
  expect(gap).toMatchObject({ first: 2, through: 3, batches: 2 });
  expect(batches?.map(({ offset }) => offset)).toEqual([4]);
});

test.each([
  ["names none", undefined],
  ["names one that is not there", 7],
])("a server that never takes a batch and %s has the first one given up, as a gap", (_, named) => {
  const spool = open();
  fill(spool, 3);
  spool.giveUp(named);
  expect(spool.read(1_000)).toMatchObject({ gap: { first: 0, through: 0, batches: 1 } });
  expect(offsets(spool)).toEqual([1, 2]);
});

test("a batch that the server never takes is given up alone: what comes before it goes first, then the gap and the rest", () => {
  const spool = open();
  fill(spool, 4);
  spool.giveUp(2);
  expect(spool.read(1_000)).toMatchObject({ gap: undefined, batches: [{ offset: 0 }, { offset: 1 }] });
  spool.acknowledge(1);
  expect(spool.read(1_000)).toMatchObject({ gap: { first: 2, through: 2, batches: 1 }, batches: [{ offset: 3 }] });
  spool.acknowledge(3);
  expect(spool.read(1_000)).toBeUndefined();
  fill(spool, 1);
  spool.giveUp(4);
  expect(spool.read(1_000)).toMatchObject({ gap: { first: 4, through: 4, batches: 1 }, batches: [] });
});

test("a batch that was dropped for room after the server named it is not waited for", () => {
  const spool = open(1_048_576 + 700_000);
  fill(spool, 2, 600_000);
  spool.giveUp(1);
  fill(spool, 2, 600_000);
  expect(spool.read(64 * 1_048_576)).toMatchObject({ gap: { first: 0, through: 1, batches: 2 } });
  expect(offsets(spool)).toEqual([2, 3]);
});

test("a spool that was taken away begins a source of another name", () => {
  fill(open(), 1);
  const before = readFileSync(join(directory, "source"), "utf8");
  expect(before).toMatch(/^node-[0-9a-f]{16}$/);
  rmSync(directory, { recursive: true });
  expect(open().source).not.toBe(before);
});

test("a source whose name was half written when the disk was full gets another, and goes on", () => {
  const before = open();
  before.append(() => Buffer.from("a"));
  writeFileSync(join(directory, "source"), "");
  const after = open();
  expect(after.source).toMatch(/^node-[0-9a-f]{16}$/);
  expect(after.source).not.toBe(before.source);
  expect(after.depth).toBe(before.depth);
  expect(open().source).toBe(after.source);
});

test("a disk that takes no new name stops nothing: what was acknowledged is not sent again, numbers go on", () => {
  const spool = open();
  fill(spool, 3);
  const name = join(directory, "0000000000000003.spool");
  mkdirSync(name);
  spool.acknowledge(2);
  expect(spool.read(1_000)).toBeUndefined();
  fill(spool, 2);
  expect(offsets(spool)).toEqual([3, 4]);
  rmSync(name, { recursive: true });
  fill(open(), 1);
  expect(offsets(open()).slice(-3)).toEqual([3, 4, 5]);
});

test("a full spool whose oldest part the disk does not let go of puts what comes on record as missing", () => {
  const spool = open(1_000);
  fill(spool, 9, 100);
  mkdirSync(join(directory, "0000000000000009.spool"));
  fill(spool, 2, 100);
  expect(spool.read(10_000)).toMatchObject({ gap: { first: 0, through: 10, batches: 11 }, batches: [] });
});

test("a part that the disk does not read out is not taken for an empty one", () => {
  fill(open(), 2);
  const [name = ""] = readdirSync(directory).filter((one) => one.endsWith(".spool"));
  rmSync(join(directory, name));
  mkdirSync(join(directory, name));
  expect(() => open()).toThrow("EISDIR");
});
