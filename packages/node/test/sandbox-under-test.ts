import { spawnSync } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { buffer } from "node:stream/consumers";
import { spawnSandbox } from "../src/keeper/sandbox-process.ts";
import { keeperOf, RunFiles } from "../src/runs/run-files.ts";
import { type DriverName, SANDBOX_HOME, SANDBOX_PATH } from "../src/sandbox/driver.ts";
import { launchSandbox } from "../src/sandbox/launch.ts";

/** Runs a tool of the system to its end. */
export function runTool([file = "", ...args]: readonly string[], env: NodeJS.ProcessEnv = process.env) {
  const { status, stdout, stderr } = spawnSync(file, args, { env, encoding: "utf8" });
  return { status, stdout, stderr };
}

/** A directory with what a sandbox is made of, and a workspace. */
export interface SandboxPlace extends AsyncDisposable {
  readonly directory: string;
  readonly workspace: string;
  readonly runDir: string;
}

export async function openPlace(): Promise<SandboxPlace> {
  const directory = await mkdtemp(join(tmpdir(), "gatehouse-sandbox-"));
  const runDir = await new RunFiles(directory).prepare(keeperOf("test"), "");
  const workspace = await mkdtemp(join(directory, "workspace-"));
  return { directory, workspace, runDir, [Symbol.asyncDispose]: () => rm(directory, { recursive: true, force: true }) };
}

/** Starts a command in a sandbox that waits for `release`. */
export function startIn(
  driver: DriverName,
  place: SandboxPlace,
  command: readonly string[],
  env: Readonly<Record<string, string>> = {},
) {
  const launch = launchSandbox(driver, {
    command,
    workspace: place.workspace,
    mounts: [],
    env: { PATH: SANDBOX_PATH, HOME: SANDBOX_HOME, MARK: "asked-for", ...env },
    runDir: place.runDir,
    runtime: process.execPath,
    isTerminal: false,
  });
  return spawnSandbox(launch, { stdio: ["ignore", "pipe", "pipe"] });
}

/** Runs a shell script in a sandbox to its end. */
export async function shellIn(
  driver: DriverName,
  place: SandboxPlace,
  script: string,
  env: Readonly<Record<string, string>> = {},
) {
  const { child, sandbox } = await startIn(driver, place, ["/bin/sh", "-c", script], env);
  await using _ = sandbox;
  sandbox.release();
  const [out, err, { code }] = await Promise.all([
    buffer(child.stdout as Readable),
    buffer(child.stderr as Readable),
    sandbox.exited,
  ]);
  return { out: out.toString(), err: err.toString(), code };
}
