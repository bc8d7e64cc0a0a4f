import { launchBubblewrap } from "./bubblewrap.ts";
import type { DriverName, SandboxLaunch, SandboxSpec } from "./driver.ts";
import { launchUnshare } from "./unshare.ts";
import { heldBy, onceReleased } from "./wrap-command.ts";

/** How a driver starts a sandbox. */
export function launchSandbox(driver: DriverName, spec: SandboxSpec): SandboxLaunch {
  if (driver === "bubblewrap") return launchBubblewrap(spec);
  if (driver === "unshare") return launchUnshare(spec);
  return launchProcess(spec);
}

/** No sandbox at all: a child with the variables set. */
function launchProcess(spec: SandboxSpec): SandboxLaunch {
  const command = onceReleased(spec.command);
  return { ...heldBy(command, spec), env: { ...spec.env }, cwd: spec.workspace, feeds: [], files: [], info: undefined };
}
