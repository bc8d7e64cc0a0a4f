import { mkdir, readdir, rmdir } from "node:fs/promises";
import { join } from "node:path";
import { Problem, type RunId } from "@gatehouse/core";
import { errorCode } from "@gatehouse/kit";
import { keeperOf, type RunFiles } from "../runs/run-files.ts";
import type { Ceiling } from "./ceiling.ts";

export interface PrivateWorkspaceDeps {
  readonly ceiling: Pick<Ceiling, "workspaceRoots">;
  readonly files: Pick<RunFiles, "directory" | "isNameless">;
}

/**
 * Makes an empty directory for a run that named none. The run's own directory comes first: while that holds no record,
 * it says that the workspace is this node's to remove. Fails with `commands.above_ceiling` where there may be none,
 * `runs.id_taken`.
 */
export async function makeWorkspace(runId: RunId, { ceiling, files }: PrivateWorkspaceDeps): Promise<string> {
  const [root] = ceiling.workspaceRoots;
  if (root === undefined) {
    throw new Problem("commands.above_ceiling", { detail: "Its configuration names no directory for workspaces." });
  }
  await mkdir(root, { recursive: true, mode: 0o700 });
  const mark = files.directory(keeperOf(runId));
  await makeNew(mark);
  try {
    const path = join(root, runId);
    await makeNew(path);
    return path;
  } catch (failure) {
    await removeEmpty(mark);
    throw failure;
  }
}

/** Removes the workspace of a run that did not start, where the run itself did not. */
export async function discardWorkspace(
  path: string,
  { runId, files }: { readonly runId: RunId } & Pick<PrivateWorkspaceDeps, "files">,
): Promise<void> {
  await removeEmpty(path);
  await removeEmpty(files.directory(keeperOf(runId)));
}

/** Removes the workspaces of starts that were cut off before their record stood: before the runs' own directories go. */
export async function sweepWorkspaces({ ceiling, files }: PrivateWorkspaceDeps): Promise<void> {
  const [root] = ceiling.workspaceRoots;
  if (root === undefined) return;
  // Where nothing can be read, nothing was made.
  const names = await readdir(root).catch(() => []);
  for (const name of names) if (files.isNameless(keeperOf(name))) await removeEmpty(join(root, name));
}

async function makeNew(path: string): Promise<void> {
  try {
    await mkdir(path, { mode: 0o700 });
  } catch (cause) {
    throw errorCode(cause) === "EEXIST" ? new Problem("runs.id_taken", { cause }) : cause;
  }
}

/** What holds anything stays, and what the system does not let go. */
async function removeEmpty(path: string): Promise<void> {
  await rmdir(path).catch(() => undefined);
}
