import { existsSync } from "node:fs";
import { systemClock } from "@gatehouse/core";
import { createLog } from "@gatehouse/kit";
import { expect, test } from "vitest";
import { temporaryDirectory } from "../../kit/test/temporary-directory.ts";
import { ExecFiles, type ExecRecord } from "../src/runs/exec-files.ts";
import { Execs } from "../src/runs/execs.ts";
import { keeperOf, RunFiles, type RunRecord } from "../src/runs/run-files.ts";
import { BookkeepingGate } from "./runs-under-test.ts";

const log = createLog({ level: "error", format: "text", write: () => undefined });

const run: RunRecord = {
  ...{ runId: "a-run", keeper: keeperOf("a-run"), driver: "unshare", command: ["true"], workspace: "/w", grants: [] },
  ...{ isDetached: true, createdAt: 1, state: "running" },
};

/** Which of these commands of a run a daemon still knows, and keeps the files of, once it has taken them over. */
async function keptOf(commands: readonly Pick<ExecRecord, "execId" | "endedAt">[]) {
  await using place = await temporaryDirectory();
  const files = new ExecFiles(new RunFiles(place.path));
  for (const { execId, endedAt } of commands) {
    const ended = endedAt === undefined ? {} : { endedAt, code: 0 };
    const record = { execId, runId: run.runId, keeper: keeperOf(execId), isHeld: false, startedAt: 1, ...ended };
    await files.create(run.keeper, record, { ...record, command: ["true"], workdir: "/w", env: {}, timeoutMs: 1_000 });
  }
  const sandboxes = { list: () => [run], get: () => run, has: () => false };
  const deps = { stateDir: place.path, sandboxes, files, gate: new BookkeepingGate(), clock: systemClock, log };
  const execs = await Execs.open(deps);
  const names = commands.map(({ execId }) => execId);
  return {
    known: names.filter((name) => execs.has(name)),
    onDisk: names.filter((name) => existsSync(files.directory(run.keeper, keeperOf(name)))),
  };
}

const ended = Array.from({ length: 20 }, (_, index) => ({ execId: `ended-${index}`, endedAt: 100 - index }));

test("the output of twenty ended commands of a run is kept, and with the next end the oldest goes", async () => {
  const all = ended.map(({ execId }) => execId);
  expect(await keptOf(ended)).toEqual({ known: all, onDisk: all });
  // Its keeper is gone: it is over when the daemon looks.
  const left = [...all.slice(0, -1), "last"];
  expect(await keptOf([...ended, { execId: "last", endedAt: undefined }])).toEqual({ known: left, onDisk: left });
});
