import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { type Clock, Problem, parseRunId } from "@gatehouse/core";
import type { StartedRun } from "@gatehouse/gate";
import { type Log, removeFile, writeFileAtomic } from "@gatehouse/kit";
import type { GateLink } from "../daemon/gate-link.ts";
import { askKeeper } from "../keeper/ask-keeper.ts";
import type { Launch } from "../keeper/launch-file.ts";
import type { DriverName } from "../sandbox/driver.ts";
import type { CreateRequest } from "./create-request.ts";
import { keeperOf, type RunFiles, type RunRecord } from "./run-files.ts";
import { gateEnvironment, sandboxEnvironment, terminalVariables } from "./sandbox-environment.ts";
import { spawnDetachedKeeper } from "./spawn-keeper.ts";
import { checkMount, checkWorkspace, type OwnDirectories } from "./workspace.ts";

export interface SandboxesDeps {
  readonly gate: Pick<GateLink, "call">;
  readonly files: RunFiles;
  readonly clock: Clock;
  readonly log: Log;
  readonly own: OwnDirectories;
  /** The driver that a request gets, proven to work. */
  readonly chooseDriver: (asked: DriverName | undefined) => Promise<DriverName>;
}

/** Answer to a created run. `launch` is for whoever starts the keeper of a foreground run. */
export interface CreatedRun {
  readonly run_id: string;
  readonly driver: DriverName;
  readonly exposed: boolean;
  readonly allowed: readonly string[];
  readonly warnings: readonly string[];
  readonly launch?: string;
}

interface PlannedRun {
  readonly runId: string;
  readonly keeper: string;
  readonly driver: DriverName;
  readonly workspace: string;
  readonly mounts: readonly string[];
}

const STOP_GRACE_MS = 5_000;
/** Ended detached runs whose output is kept. */
const MAX_KEPT = 50;

/** The runs of this node: created, started and ended here; what they hold outlives the daemon with their keepers. */
export class Sandboxes {
  readonly #deps: SandboxesDeps;
  readonly #runs = new Map<string, RunRecord>();
  /** Runs that are being ended: the keeper's word and a stop may come at once. */
  readonly #ending = new Set<string>();

  private constructor(deps: SandboxesDeps) {
    this.#deps = deps;
  }

  /** Takes over the runs whose keepers live; ends the others and removes what they left. */
  static async open(deps: SandboxesDeps): Promise<Sandboxes> {
    const sandboxes = new Sandboxes(deps);
    for (const record of await deps.files.list()) sandboxes.#runs.set(record.runId, record);
    await sandboxes.reconcile();
    return sandboxes;
  }

  list(): readonly RunRecord[] {
    return [...this.#runs.values()].sort((a, b) => b.createdAt - a.createdAt);
  }

  get(runId: string): RunRecord {
    const record = this.#runs.get(runId);
    if (record === undefined) throw new Problem("runs.not_found");
    return record;
  }

  async create(request: CreateRequest): Promise<CreatedRun> {
    const { own, gate } = this.#deps;
    const workspace = checkWorkspace(request.workspace, own);
    const mounts = request.mounts.map((path) => checkMount(path, own));
    const driver = await this.#deps.chooseDriver(request.driver);
    const runId = parseRunId(randomBytes(8).toString("hex"));
    const keeper = keeperOf(runId);
    const isExposed = driver === "process";
    const { agent, project, grants, policy } = request;
    const place = isExposed ? undefined : keeper;
    const started = await gate.call("startRun", { runId, agent, project, grants, policy, isExposed, keeper: place });
    try {
      const run = { runId, keeper, driver, workspace: workspace.path, mounts };
      const launchPath = await this.#prepare(request, run, started);
      this.#deps.log.info("run created", { runId, driver, agent, project, grants });
      const { allowed } = started;
      const answer = { run_id: runId, driver, exposed: isExposed, allowed, warnings: workspace.warnings };
      if (!request.detach) return { ...answer, launch: launchPath };
      await this.#startDetached(runId, launchPath);
      return answer;
    } catch (failure) {
      await this.#forget(runId, keeper);
      throw failure;
    }
  }

  /** Writes what the keeper is told, and the run's record. Returns the path of the launch file. */
  async #prepare(request: CreateRequest, run: PlannedRun, started: StartedRun): Promise<string> {
    const { files, own, clock } = this.#deps;
    const { runId, keeper, driver, workspace, mounts } = run;
    const runDir = await files.prepare(keeper, started.caCertificatePem);
    const record: RunRecord = {
      runId,
      keeper,
      driver,
      ...(request.agent === undefined ? {} : { agent: request.agent }),
      ...(request.project === undefined ? {} : { project: request.project }),
      command: [...request.command],
      workspace,
      grants: [...request.grants],
      isDetached: request.detach,
      createdAt: clock.now(),
      state: "starting",
    };
    await files.write(record);
    this.#runs.set(runId, record);
    const launch: Launch = {
      runId,
      stateDir: own.stateDir,
      keeper,
      driver,
      command: [...request.command],
      workspace,
      mounts: [...mounts],
      env: environmentOf(request, { started, runDir, isExposed: driver === "process" }),
      runDir,
      isTerminal: request.tty,
      isDetached: request.detach,
    };
    const launchPath = join(runDir, "launch.json");
    await writeFileAtomic(launchPath, JSON.stringify(launch));
    return launchPath;
  }

  /** The keeper says that the sandbox is built: its listener is served before its command is released. */
  async started(runId: string): Promise<void> {
    const record = this.get(runId);
    if (record.driver !== "process") await this.#deps.gate.call("serveListener", { runId });
    await this.#update({ ...record, state: "running" });
  }

  /** The command ended: the run is over at the gate before this returns. */
  async exited(runId: string, code: number): Promise<void> {
    const record = this.#runs.get(runId);
    if (record === undefined || record.state === "exited" || this.#ending.has(runId)) return;
    this.#ending.add(runId);
    try {
      await this.#end(record, code);
    } finally {
      this.#ending.delete(runId);
    }
  }

  async #end(record: RunRecord, code: number): Promise<void> {
    const { runId } = record;
    await this.#deps.gate.call("endRun", { runId });
    await removeFile(this.#keeperSocket(record));
    this.#deps.log.info("run ended", { runId, code });
    if (record.isDetached) {
      await this.#update({ ...record, state: "exited", endedAt: this.#deps.clock.now(), code });
      await this.#prune();
    } else {
      this.#runs.delete(runId);
      await this.#deps.files.remove(record.keeper);
    }
  }

  /** Ends a run: first asked, then by force. Returns when it is gone. */
  async stop(runId: string): Promise<void> {
    const record = this.get(runId);
    if (record.state === "exited") return;
    const timeoutMs = STOP_GRACE_MS + 3_000;
    const answer = await askKeeper(this.#keeperSocket(record), { op: "stop", graceMs: STOP_GRACE_MS }, timeoutMs);
    if (answer === undefined || record.state === "starting") await this.reconcile();
    else await this.exited(runId, 143);
  }

  async signal(runId: string, signal: string): Promise<void> {
    const answer = await askKeeper(this.#keeperSocket(this.get(runId)), { op: "signal", signal });
    if (answer === undefined) throw new Problem("runs.not_found");
  }

  /** Ends every run whose keeper is gone, here and at the gate, and removes what it left. */
  async reconcile(): Promise<void> {
    for (const record of this.list()) {
      if (record.state === "exited" || (await this.#isKept(record))) continue;
      if (record.state === "starting" && this.#deps.clock.now() - record.createdAt < 30_000) continue;
      const code = (await this.#deps.files.exitCode(record.keeper)) ?? 137;
      await this.exited(record.runId, code);
    }
    const known = new Set(
      this.list()
        .filter(({ state }) => state !== "exited")
        .map(({ runId }) => runId),
    );
    for (const { runId, keeper } of await this.#deps.gate.call("listRuns", null)) {
      if (keeper !== undefined && !known.has(runId)) await this.#deps.gate.call("endRun", { runId });
    }
  }

  /** Starts the keeper and returns when the command runs. Fails with `sandbox.start_failed`. */
  async #startDetached(runId: string, launchPath: string): Promise<void> {
    let hasEnded = false;
    void spawnDetachedKeeper(launchPath).then(() => {
      hasEnded = true;
    });
    while (this.#runs.get(runId)?.state === "starting" && !hasEnded)
      await new Promise((resolve) => setTimeout(resolve, 10));
    if (this.#runs.get(runId)?.state === "starting") throw new Problem("sandbox.start_failed");
  }

  async #isKept(record: RunRecord): Promise<boolean> {
    return (await askKeeper(this.#keeperSocket(record), { op: "status" })) !== undefined;
  }

  async #update(record: RunRecord): Promise<void> {
    this.#runs.set(record.runId, record);
    await this.#deps.files.write(record);
  }

  async #forget(runId: string, keeper: string): Promise<void> {
    this.#runs.delete(runId);
    await this.#deps.gate.call("endRun", { runId });
    await this.#deps.files.remove(keeper);
  }

  async #prune(): Promise<void> {
    const ended = this.list().filter(({ state }) => state === "exited");
    for (const record of ended.slice(MAX_KEPT)) {
      this.#runs.delete(record.runId);
      await this.#deps.files.remove(record.keeper);
    }
  }

  #keeperSocket({ keeper }: RunRecord): string {
    return join(this.#deps.own.stateDir, "keepers", `${keeper}.sock`);
  }
}

interface EnvironmentPlace {
  readonly started: StartedRun;
  readonly runDir: string;
  readonly isExposed: boolean;
}

function environmentOf(
  request: CreateRequest,
  { started, runDir, isExposed }: EnvironmentPlace,
): Record<string, string> {
  const parts = { ...started, placeholders: started.env, asked: request.env };
  if (!isExposed) return sandboxEnvironment(parts, terminalVariables(process.env));
  const gate = { ...parts, gatePort: started.proxyPort, caBundle: join(runDir, "ca-bundle.pem") };
  return { ...userEnvironment(), ...gateEnvironment(gate) };
}

function userEnvironment(): Record<string, string> {
  const kept: Record<string, string> = terminalVariables(process.env);
  for (const name of ["PATH", "HOME", "USER", "LOGNAME", "SHELL"]) {
    const value = process.env[name];
    if (value !== undefined) kept[name] = value;
  }
  return kept;
}
