import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock, systemRandom } from "@gatehouse/core";
import { createLog } from "@gatehouse/kit";
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
