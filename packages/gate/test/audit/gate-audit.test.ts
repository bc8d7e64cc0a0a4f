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
  const log = createLog({ level: "error", format: "json" });
  audit = await GateAudit.open({ stateDir, clock: systemClock, random: systemRandom, log });
});
afterEach(async () => {
  await audit[Symbol.asyncDispose]();
  await rm(stateDir, { recursive: true });
});

async function written(): Promise<string> {
  const folder = join(stateDir, "audit");
  const texts = (await readdir(folder)).map((name) => readFile(join(folder, name), "utf8"));
  return (await Promise.all(texts)).join("");
}

async function note(kind: string): Promise<void> {
  audit.note({ kind, data: {} });
  await audit.settled();
}

test("a log that was given to a successor takes nothing until it is taken back", async () => {
  await audit.handOver();
  await note("test.meanwhile");
  await audit.takeBack();
  await note("test.afterwards");
  const text = await written();
  expect(text).not.toContain("test.meanwhile");
  expect(text).toContain("test.afterwards");
});

test("one that was never given out goes on when it is taken back", async () => {
  await note("test.before");
  await audit.takeBack();
  await note("test.afterwards");
  expect(await written()).toMatch(/test\.before.*test\.afterwards/s);
});
