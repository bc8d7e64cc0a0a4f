import { join } from "node:path";
import type { StartedRun } from "@gatehouse/gate";
import type { TerminalSize } from "@gatehouse/kit";
import type { Launch } from "../keeper/launch-file.ts";
import { CA_BUNDLE, type DriverName, JAVA_TRUST_STORE } from "../sandbox/driver.ts";
import type { CreateRequest } from "./create-request.ts";
import type { RunRecord } from "./run-files.ts";
import { gateEnvironment, sandboxEnvironment } from "./sandbox-environment.ts";
import type { CheckedDirectory } from "./workspace.ts";

/** A run that was asked for, with all that was decided about it. */
export interface PlannedRun {
  readonly runId: string;
  readonly keeper: string;
  readonly driver: DriverName;
  readonly workspace: CheckedDirectory;
  readonly mounts: readonly CheckedDirectory[];
  readonly request: CreateRequest;
  readonly takesInput: boolean;
  /** Its streams are a terminal of this size. */
  readonly terminal: TerminalSize | undefined;
  readonly createdAt: number;
}

/** What the daemon remembers of it. */
export function recordOf({ request, workspace, ...plan }: PlannedRun): RunRecord {
  const { runId, keeper, driver, createdAt } = plan;
  return {
    runId,
    keeper,
    driver,
    ...(request.agent === undefined ? {} : { agent: request.agent }),
    ...(request.project === undefined ? {} : { project: request.project }),
    command: [...request.command],
    workspace: workspace.path,
    grants: [...request.grants],
    isDetached: request.detach,
    createdAt,
    state: "starting",
  };
}

/** What its keeper is told. */
export function launchOf(plan: PlannedRun, started: StartedRun, place: { stateDir: string; runDir: string }): Launch {
  const { runId, keeper, driver, workspace, mounts, request, takesInput, terminal } = plan;
  const parts = { ...started, placeholders: started.env, asked: request.env };
  const exposed = {
    ...parts,
    gatePort: started.proxyPort,
    caBundle: join(place.runDir, CA_BUNDLE),
    trustStore: join(place.runDir, JAVA_TRUST_STORE),
  };
  return {
    runId,
    keeper,
    driver,
    ...place,
    command: [...request.command],
    workspace: workspace.path,
    mounts: mounts.map(({ path }) => path),
    identities: Object.fromEntries([workspace, ...mounts].map(({ path, identity }) => [path, identity])),
    env: driver === "process" ? gateEnvironment(exposed) : sandboxEnvironment(parts),
    isTerminal: request.tty || terminal !== undefined,
    ...(terminal === undefined ? {} : { terminal }),
    isDetached: request.detach,
    takesInput,
  };
}
