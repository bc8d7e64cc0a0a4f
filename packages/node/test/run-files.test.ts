import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { CommandJournal } from "../src/commands/command-journal.ts";
import { RunFiles } from "../src/runs/run-files.ts";

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "gatehouse-run-files-"));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

test("the directory of a run whose record the disk does not read out is kept, and the start refused", async () => {
  const run = join(directory, "runs", "0123456789abcdef");
  // Reading a directory fails as reading from a broken disk does: it is there, but cannot be read.
  mkdirSync(join(run, "run.json"), { recursive: true });
  await expect(new RunFiles(directory).list()).rejects.toThrow("EISDIR");
  expect(existsSync(run)).toBe(true);
  rmSync(join(run, "run.json"), { recursive: true });
  writeFileSync(join(run, "run.json"), "half a rec");
  expect(await new RunFiles(directory).list()).toEqual({ records: [], unreadable: ["0123456789abcdef"] });
});

test("a journal that cannot be opened refuses the start by its path", () => {
  expect(() => CommandJournal.open(directory)).toThrow(`${directory} cannot be opened`);
});
