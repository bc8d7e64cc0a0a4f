import { Problem } from "@gatehouse/core";
import type { DriverName } from "../sandbox/driver.ts";

/** What this node's own configuration lets commands do; nothing that comes from outside raises it. */
export interface Ceiling {
  /** Drivers of runs that are started by command. */
  readonly drivers: readonly Exclude<DriverName, "process">[];
  /** Directories in which workspaces may lie. The first one takes the private ones. */
  readonly workspaceRoots: readonly string[];
  /** Places on loopback or in private networks, as `host:port`, that a command's policy may state. */
  readonly localDestinations: readonly string[];
}

/** The drivers that a run may get that a command starts, best first. Fails with `commands.above_ceiling`. */
export function allowedDrivers(asked: string, { drivers }: Ceiling): readonly DriverName[] {
  const allowed = asked === "" ? drivers : drivers.filter((one) => one === asked);
  if (allowed.length > 0) return allowed;
  throw new Problem("commands.above_ceiling", { detail: "Its configuration allows no run with this driver." });
}
