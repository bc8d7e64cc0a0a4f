import { mkdir, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { create } from "@bufbuild/protobuf";
import { parseRunId } from "@gatehouse/core";
import { StartRunSchema } from "@gatehouse/wire";
import { expect, test } from "vitest";
import { makeWorkspace, sweepWorkspaces } from "../src/commands/private-workspace.ts";
import { startRun } from "../src/commands/start-run.ts";
import { keeperOf } from "../src/runs/run-files.ts";
import { openRuns } from "./runs-under-test.ts";

/** Runs of a node whose commands may start some in private workspaces. */
async function openCommanded() {
  const world = await openRuns("bubblewrap");
  const root = join(world.directory, "private");
  const ceiling = { drivers: ["bubblewrap"], workspaceRoots: [root], localDestinations: [] } as const;
  const deps = { sandboxes: world.runs, execs: { holds: () => false }, files: world.files, ceiling };
  const startRunOf = (runId: string, more = {}) =>
    startRun(create(StartRunSchema, { runId, command: ["true"], ...more }), deps);
  const leaveRun = async (runId: string) => {
    const asked = { command: ["true"], workspace: join(root, runId), grants: [], isDetached: true };
    const record = { runId, keeper: keeperOf(runId), driver: "bubblewrap", ...asked, createdAt: 1 } as const;
    await world.files.create({ ...record, state: "exited" }, { policy: { mode: "strict" }, isCommanded: true });
  };
  return { ...world, root, deps, startRunOf, leaveRun };
}

const LOCAL = new TextEncoder().encode(JSON.stringify({ mode: "strict", allow: ["127.0.0.1"] }));

test("the workspace of a start that was cut off before its record stood is removed, and no other", async () => {
  await using world = await openCommanded();
  const cutOff = parseRunId("cut-off");
  const filled = parseRunId("filled");
  await makeWorkspace(cutOff, world.deps);
  await writeFile(join(await makeWorkspace(filled, world.deps), "work"), "");
  await world.leaveRun("known");
  for (const name of ["known", "somebodys"]) await mkdir(join(world.root, name));
  await sweepWorkspaces(world.deps);
  expect((await readdir(world.root)).sort()).toEqual(["filled", "known", "somebodys"]);
});

test("a start that is refused leaves neither a workspace nor files of a run", async () => {
  await using world = await openCommanded();
  await expect(world.startRunOf("refused", { policy: LOCAL })).rejects.toMatchObject({
    code: "commands.above_ceiling",
  });
  world.gate.onStartRun = async () => {
    await writeFile(join(world.root, "failed", "left"), "");
    throw new Error("the gate is gone");
  };
  await expect(world.startRunOf("failed")).rejects.toThrow("the gate is gone");
  for (const runId of [".", ".."]) await expect(world.startRunOf(runId)).rejects.toMatchObject({ code: "run.bad_id" });
  expect(await readdir(world.root)).toEqual([]);
  expect(await readdir(join(world.stateDir, "runs"))).toEqual([]);
});

test("a start under the id of a run that is there, or of a directory that is, changes neither", async () => {
  await using world = await openCommanded();
  await world.leaveRun("taken");
  const before = await readdir(world.files.directory(keeperOf("taken")));
  await mkdir(join(world.root, "somebodys"), { recursive: true });
  for (const runId of ["taken", "somebodys"])
    await expect(world.startRunOf(runId)).rejects.toMatchObject({ code: "runs.id_taken" });
  expect(await readdir(world.files.directory(keeperOf("taken")))).toEqual(before);
  expect(await readdir(world.root)).toEqual(["somebodys"]);
  expect(await readdir(join(world.stateDir, "runs"))).toEqual([keeperOf("taken")]);
});
