import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { Problem } from "@gatehouse/core";
import type { DriverName } from "../sandbox/driver.ts";
import { requireDriver } from "../sandbox/probe.ts";

/** What this node's own configuration lets commands do; nothing that comes from outside raises it. */
export interface Ceiling {
  /** Drivers of runs that are started by command. */
  readonly drivers: readonly Exclude<DriverName, "process">[];
  /** Directories in which workspaces may lie. The first one takes the private ones. */
  readonly workspaceRoots: readonly string[];
  /** Places on loopback or in private networks, as `host:port`, that a command's policy may state. */
  readonly localDestinations: readonly string[];
}

/** The driver of a run that a command starts. Fails with `commands.above_ceiling`, `sandbox.unavailable`. */
export async function allowedDriver(asked: string, { drivers }: Ceiling): Promise<DriverName> {
  const candidates = asked === "" ? drivers : drivers.filter((one) => one === asked);
  if (candidates.length === 0) {
    throw new Problem("commands.above_ceiling", { detail: "Its configuration allows no run with this driver." });
  }
  let failure: unknown;
  for (const driver of candidates) {
    try {
      return await requireDriver(driver);
    } catch (cause) {
      failure = cause;
    }
  }
  throw failure;
}

/** Makes an empty directory for a run that named none. Fails with `commands.above_ceiling` where there may be none. */
export async function makeWorkspace(runId: string, { workspaceRoots }: Ceiling): Promise<string> {
  const [root] = workspaceRoots;
  if (root === undefined) {
    throw new Problem("commands.above_ceiling", { detail: "Its configuration names no directory for workspaces." });
  }
  await mkdir(root, { recursive: true, mode: 0o700 });
  const path = join(root, runId);
  await mkdir(path, { mode: 0o700 });
  return path;
}
