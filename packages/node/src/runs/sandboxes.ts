import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { type Clock, Problem, parseRunId } from "@gatehouse/core";
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

const STOP_GRACE_MS = 5_000;
/** Ended detached runs whose output is kept. */
const MAX_KEPT = 50;

/** The runs of this node: created, started and ended here; what they hold outlives the daemon with their keepers. */
export class Sandboxes {
  readonly #deps: SandboxesDeps;
  readonly #runs = new Map<string, RunRecord>();

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
    const { deps } = { deps: this.#deps };
    const workspace = checkWorkspace(request.workspace, deps.own);
    const mounts = request.mounts.map((path) => checkMount(path, deps.own));
    const driver = await deps.chooseDriver(request.driver);
    const runId = parseRunId(randomBytes(8).toString("hex"));
    const keeper = keeperOf(runId);
    const isExposed = driver === "process";
    const { agent, project, grants, policy } = request;
    const started = await deps.gate.call("startRun", {
      runId,
      agent,
      project,
      grants,
      policy,
      isExposed,
      keeper: isExposed ? undefined : keeper,
    });
    try {
      const runDir = await deps.files.prepare(keeper, started.caCertificatePem);
      const record: RunRecord = {
        runId,
        keeper,
        driver,
        ...(agent === undefined ? {} : { agent }),
        ...(project === undefined ? {} : { project }),
        command: [...request.command],
        workspace: workspace.path,
        grants: [...grants],
        isDetached: request.detach,
        createdAt: deps.clock.now(),
        state: "starting",
      };
      await deps.files.write(record);
      const parts = { ...started, placeholders: started.env, asked: request.env };
      const terminal = terminalVariables(process.env);
      const env = isExposed
        ? {
            ...userEnvironment(),
            ...gateEnvironment({ ...parts, gatePort: started.proxyPort, caBundle: join(runDir, "ca-bundle.pem") }),
          }
        : sandboxEnvironment(parts, terminal);
      const launch: Launch = {
        runId,
        stateDir: deps.own.stateDir,
        keeper,
        driver,
        command: [...request.command],
        workspace: workspace.path,
        mounts,
        env,
        runDir,
        isTerminal: request.tty,
        isDetached: request.detach,
      };
      const launchPath = join(runDir, "launch.json");
      await writeFileAtomic(launchPath, JSON.stringify(launch));
      this.#runs.set(runId, record);
      deps.log.info("run created", { runId, driver, agent, project, grants });
      const answer = {
        run_id: runId,
        driver,
        exposed: isExposed,
        allowed: started.allowed,
        warnings: workspace.warnings,
      };
      if (!request.detach) return { ...answer, launch: launchPath };
      await this.#startDetached(runId, launchPath);
      return answer;
    } catch (failure) {
      await this.#forget(runId, keeper);
      throw failure;
    }
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
    if (record === undefined || record.state === "exited") return;
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

  async #startDetached(runId: string, launchPath: string): Promise<void> {
    const keeperExit = spawnDetachedKeeper(launchPath);
    const running = this.#untilRunning(runId, keeperExit);
    await running;
  }

  async #untilRunning(runId: string, keeperExit: Promise<number>): Promise<void> {
    let hasEnded = false;
    void keeperExit.then(() => {
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

function userEnvironment(): Record<string, string> {
  const kept: Record<string, string> = terminalVariables(process.env);
  for (const name of ["PATH", "HOME", "USER", "LOGNAME", "SHELL"]) {
    const value = process.env[name];
    if (value !== undefined) kept[name] = value;
  }
  return kept;
}
