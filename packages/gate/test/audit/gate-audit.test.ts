import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock, systemRandom } from "@gatehouse/core";
import { createLog } from "@gatehouse/kit";
import { eventually, runProcess } from "@gatehouse/testbed";
import { afterEach, beforeEach, expect, test } from "vitest";
import { GateAudit } from "../../src/audit/gate-audit.ts";

let stateDir: string;
let audit: GateAudit;

beforeEach(async () => {
  stateDir = await mkdtemp(join(tmpdir(), "gatehouse-audit-"));
  audit = await openAudit();
});
afterEach(async () => {
  await audit[Symbol.asyncDispose]();
  await rm(stateDir, { recursive: true });
});

function openAudit(): Promise<GateAudit> {
  const log = createLog({ level: "error", format: "json" });
  return GateAudit.open({ stateDir, clock: systemClock, random: systemRandom, log });
}

async function written(): Promise<string> {
  const folder = join(stateDir, "audit");
  const texts = (await readdir(folder)).map((name) => readFile(join(folder, name), "utf8"));
  return (await Promise.all(texts)).join("");
}

async function note(kind: string): Promise<void> {
  audit.note({ kind, data: {} });
  await audit.settled();
}

/** How often an entry of that kind stands in the log. */
async function count(kind: string): Promise<number> {
  return (await written()).split(`"kind":"${kind}"`).length - 1;
}

/** Notes on what the successor has, as its predecessor's workers do. */
function noteAll(...kinds: readonly string[]): void {
  for (const kind of kinds) audit.note({ kind, data: {} });
}

test("what the successor did not write is written when the log comes back, each entry once", async () => {
  await audit.handOver(() => undefined);
  noteAll("test.whole");
  const { passed } = audit;
  {
    await using successor = await openAudit();
    const first = passed?.take();
    expect(passed?.take()).toBeUndefined();
    successor.noteLines(first?.lines ?? "");
    passed?.acknowledge(first?.group ?? 0, await successor.durable());
    noteAll("test.begun", "test.not_begun");
    const [before, after] = passed?.take()?.lines.split("\n") ?? [];
    noteAll("test.kept");
    // It goes between two lines of what it had.
    successor.noteLines(`${before}\n${after}\n`);
  }
  await audit.takeBack();
  await note("test.afterwards");
  for (const kind of ["whole", "begun", "not_begun", "kept", "afterwards"]) expect(await count(`test.${kind}`)).toBe(1);
});

test("what cannot be written because another has the log by then is left beside it, and taken up once by the next writer", async () => {
  await audit.handOver(() => undefined);
  noteAll("test.doubtful", "test.sure");
  {
    await using successor = await openAudit();
    const [before, after] = audit.passed?.take()?.lines.split("\n") ?? [];
    successor.noteLines(`${before}\n${after}\n`);
    await successor.settled();
    await audit[Symbol.asyncDispose]();
    expect(await count("test.sure")).toBe(0);
  }
  for (let starts = 0; starts < 2; starts += 1) {
    await using next = await openAudit();
    await next.settled();
  }
  expect([await count("test.doubtful"), await count("test.sure")]).toEqual([1, 1]);
});

test("a successor that does not say that entries are durable makes requests be refused, and served again when it does", async () => {
  const told: boolean[] = [];
  const taking = Promise.withResolvers<void>();
  const refused = Promise.withResolvers<void>();
  audit.onTaking = (isTaking) => {
    told.push(isTaking);
    (isTaking ? taking : refused).resolve();
  };
  await audit.handOver(() => undefined);
  noteAll("test.waiting");
  const group = audit.passed?.take();
  await refused.promise;
  audit.passed?.acknowledge(group?.group ?? 0, 1);
  await taking.promise;
  expect(told).toEqual([false, true]);
  expect(audit.state.isTaking).toBe(true);
});

test("one that was never given out goes on when it is taken back", async () => {
  await note("test.before");
  await audit.takeBack();
  await note("test.afterwards");
  expect(await written()).toMatch(/test\.before.*test\.afterwards/s);
});

const MIB = 1_048_576;
const LARGE = { kind: "test.large", data: { text: "x".repeat(MIB) } };
/** Of memory for entries that wait. */
const ROOM_MIB = 64;

/** How large a file may be that this process writes: beyond, writes fail as on a full disk. */
async function limitFiles(bytes: number | "unlimited"): Promise<void> {
  const args = ["--pid", String(process.pid), `--fsize=${bytes}:unlimited`];
  expect(await runProcess("prlimit", args)).toMatchObject({ code: 0 });
}

/** Notes more than there is memory for; returns how much of it was left out. */
function noteTooMuch(): number {
  const beyond = 5;
  for (let number = 0; number < ROOM_MIB + beyond; number += 1) audit.note(LARGE);
  expect(() => audit.requireRoom()).toThrow(expect.objectContaining({ code: "audit.unwritable" }));
  expect(audit.state.isTaking).toBe(false);
  return beyond;
}

/** How many entries the log says it had no memory for. */
async function leftOut(): Promise<readonly number[]> {
  return [...(await written()).matchAll(/"left_out":(\d+)/g)].map(([, number]) => Number(number));
}

test("while the disk takes nothing, memory for entries is bounded: what adds is refused, what takes away is counted, and the number is on record", async () => {
  await note("test.before");
  await limitFiles(1);
  try {
    audit.note({ kind: "test.first", data: {} });
    await eventually("the fault", () => !audit.state.isTaking);
    expect(() => audit.requireRoom()).not.toThrow();
    await expect(audit.attempt({ kind: "test.refused", data: {} }, async () => undefined)).rejects.toMatchObject({
      code: "audit.unwritable",
    });
    noteTooMuch();
  } finally {
    await limitFiles("unlimited");
  }
  await eventually("the log to be written again", () => audit.state.isTaking);
  await audit.settled();
  expect([await count("test.first"), await count("test.large"), await count("test.refused")]).toEqual([1, ROOM_MIB, 0]);
  expect(await leftOut()).toEqual([5]);
  audit.requireRoom();
});

test("memory for what a successor does not take is bounded the same way", async () => {
  await audit.handOver(() => undefined);
  noteTooMuch();
  for (let group = audit.passed?.take(); group !== undefined; group = audit.passed?.take()) {
    audit.passed?.acknowledge(group.group, 1);
  }
  expect(audit.state.isTaking).toBe(true);
  audit.requireRoom();
});
