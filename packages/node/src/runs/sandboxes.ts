import { randomBytes } from "node:crypto";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { type Clock, Problem, parseRunId } from "@gatehouse/core";
import type { StartedRun } from "@gatehouse/gate";
import { type Log, removeFile, writeFileAtomic } from "@gatehouse/kit";
import * as z from "zod";
import type { GateLink } from "../daemon/gate-link.ts";
import { askKeeper } from "../keeper/ask-keeper.ts";
import { isLaunched } from "../keeper/is-launched.ts";
import { LAUNCH_FILE } from "../keeper/launch-file.ts";
import type { Drivers } from "../sandbox/drivers.ts";
import type { CreatedRun, CreateOptions } from "./create-options.ts";
import type { CreateRequest } from "./create-request.ts";
import { KeeperLink } from "./keeper-link.ts";
import { launchOf, type PlannedRun, recordOf } from "./plan-run.ts";
import { keeperOf, type RunEnd, type RunFiles, type RunRecord } from "./run-files.ts";
import { spawnDetachedKeeper } from "./spawn-keeper.ts";
import type { Streamed } from "./streamed.ts";
import { checkMount, checkWorkspace, type OwnDirectories, refuseNested, requireWithin } from "./workspace.ts";

export interface SandboxesDeps {
  readonly gate: Pick<GateLink, "call">;
  readonly files: RunFiles;
  readonly clock: Clock;
  readonly log: Log;
  readonly own: OwnDirectories;
  readonly drivers: Pick<Drivers, "firstOf" | "distrust">;
  /** Another daemon hands over, and may still be starting runs. */
  readonly takesOver: boolean;
}

const STOP_GRACE_MS = 5_000;
const START_WITHIN_MS = 30_000;
/** What is said of a command whose end nobody saw. */
const KILLED = 137;
const stoppedSchema = z.object({ ok: z.literal(true), code: z.number().int().min(0).max(255) });
/** Ended detached runs whose output is kept. */
const MAX_KEPT = 50;

/** The runs of this node: created, started and ended here; what they hold outlives the daemon with their keepers. */
export class Sandboxes {
  readonly #deps: SandboxesDeps;
  readonly #runs: Map<string, RunRecord>;
  /** Found as a daemon left them that died while it started them: nobody will start their keepers any more. */
  readonly #orphans: ReadonlySet<RunRecord>;
  /** Runs that are being ended: the keeper's word and a stop may come at once. */
  readonly #ending = new Map<string, Promise<void>>();

  private constructor(deps: SandboxesDeps, records: readonly RunRecord[]) {
    this.#deps = deps;
    this.#runs = new Map(records.map((record) => [record.runId, record]));
    this.#orphans = new Set(deps.takesOver ? [] : records.filter(({ isDetached }) => isDetached));
  }

  /** Takes over the runs whose keepers live; ends the others, and those that nobody could name, with what they left. */
  static async open(deps: SandboxesDeps): Promise<Sandboxes> {
    const { records, unreadable } = await deps.files.list();
    const sandboxes = new Sandboxes(deps, records);
    await sandboxes.reconcile();
    await Promise.all(unreadable.map((keeper) => sandboxes.#endNameless(keeper)));
    return sandboxes;
  }

  /** A run whose record is damaged is at the gate no more; its sandbox would go on, and nobody could stop it. */
  async #endNameless(keeper: string): Promise<void> {
    const { files, log } = this.#deps;
    try {
      await this.#askToStop({ keeper });
    } catch (failure) {
      log.error("a run without a readable record does not end", { keeper, failure });
      return;
    }
    await removeFile(this.#keeperSocket({ keeper }));
    await files.remove(keeper);
    log.error("a run without a readable record was ended and removed", { keeper });
  }

  list(): readonly RunRecord[] {
    return [...this.#runs.values()].sort((a, b) => b.createdAt - a.createdAt);
  }

  has(runId: string): boolean {
    return this.#runs.has(runId);
  }

  get(runId: string): RunRecord {
    const record = this.#runs.get(runId);
    if (record === undefined) throw new Problem("runs.not_found");
    return record;
  }

  /** Fails with `runs.id_taken`, `sandbox.…`, `grants.…`. */
  async create(request: CreateRequest, options: CreateOptions = {}): Promise<CreatedRun> {
    const plan = await this.#plan(request, options);
    const { runId, keeper, driver } = plan;
    const isName = options.isHeld?.(keeper) === true || [...this.#runs.values()].some((run) => run.keeper === keeper);
    if (this.#runs.has(runId) || isName) throw new Problem("runs.id_taken");
    const record = { ...recordOf(plan), ...(options.ownsWorkspace === true ? { ownsWorkspace: true } : {}) };
    // Known before the gate knows it: what the gate alone knows is taken for a leftover.
    this.#runs.set(runId, record);
    try {
      const { agent, project, grants, policy } = request;
      await this.#deps.files.create(record, { policy, isCommanded: options.isCommanded === true });
      const isExposed = driver === "process";
      const place = isExposed ? undefined : keeper;
      const asked = { runId, agent, project, grants, policy, isExposed, keeper: place };
      const started = await this.#deps.gate.call("startRun", asked);
      const launchPath = await this.#prepare(plan, started);
      this.#deps.log.info("run created", { runId, driver, agent, project, grants });
      const { allowed } = started;
      const warnings = [plan.workspace, ...plan.mounts].flatMap((place) => place.warnings);
      const answer = { run_id: runId, driver, exposed: isExposed, allowed, warnings };
      if (!request.detach) return { ...answer, launch: launchPath };
      await this.#startDetached(runId, launchPath);
      return answer;
    } catch (failure) {
      await this.#forget(record);
      throw failure;
    }
  }

  async #plan(request: CreateRequest, options: CreateOptions) {
    const { own, clock, drivers } = this.#deps;
    const workspace = checkWorkspace(request.workspace, own);
    if (options.workspaceRoots !== undefined) requireWithin(workspace, options.workspaceRoots);
    const mounts = request.mounts.map((path) => checkMount(path, own));
    refuseNested([workspace, ...mounts]);
    const driver = await drivers.firstOf(request.driver === undefined ? options.drivers : [request.driver]);
    const { takesInput = false, terminal } = options;
    const runId = options.runId ?? parseRunId(randomBytes(8).toString("hex"));
    const streams = { takesInput, terminal };
    return { runId, keeper: keeperOf(runId), driver, workspace, mounts, request, ...streams, createdAt: clock.now() };
  }

  /** Writes what the sandbox reads and what the keeper is told. Returns the path of the launch file. */
  async #prepare(plan: PlannedRun, started: StartedRun): Promise<string> {
    const { files, own } = this.#deps;
    const runDir = await files.prepare(plan.keeper, started.caCertificatePem);
    const launchPath = join(runDir, LAUNCH_FILE);
    const launch = launchOf(plan, started, { stateDir: own.stateDir, runDir });
    await writeFileAtomic(launchPath, JSON.stringify(launch));
    return launchPath;
  }

  /** The keeper says that the sandbox is built: its listener is served before its command is released. */
  async started(runId: string): Promise<void> {
    const record = this.#starting(runId);
    if (record.driver !== "process") await this.#deps.gate.call("serveListener", { runId });
    // On disk first: whoever waits for it is answered then, and no death of the daemon takes that back.
    await this.#deps.files.write({ ...this.#starting(runId), state: "running" });
    this.#runs.set(runId, { ...this.#starting(runId), state: "running" });
  }

  /** A run that was stopped meanwhile starts no more. */
  #starting(runId: string): RunRecord {
    const record = this.get(runId);
    if (record.state !== "starting" || this.#ending.has(runId)) throw new Problem("runs.not_found");
    return record;
  }

  /** The command ended: the run is over at the gate before this returns. */
  async exited(runId: string, end: RunEnd): Promise<void> {
    const record = this.#runs.get(runId);
    if (record === undefined || record.state === "exited") return;
    const ending = this.#ending.get(runId) ?? this.#end(record, end).finally(() => void this.#ending.delete(runId));
    this.#ending.set(runId, ending);
    await ending;
  }

  async #end(record: RunRecord, { code, why }: RunEnd): Promise<void> {
    const { runId } = record;
    if (why !== undefined) this.#deps.drivers.distrust(record.driver);
    await this.#deps.gate.call("endRun", { runId });
    await removeFile(this.#keeperSocket(record));
    this.#deps.log.info("run ended", { runId, code, why });
    if (record.isDetached) {
      const failure = why === undefined ? {} : { failure: why };
      await this.#update({ ...record, state: "exited", endedAt: this.#deps.clock.now(), code, ...failure });
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
    const answer = await this.#askToStop(record).catch(async (failure: unknown) => {
      // A keeper that hangs keeps its sandbox, but not what the gate gave it. That the sandbox is there is the worse news.
      await Promise.allSettled([this.#deps.gate.call("endRun", { runId })]);
      throw failure;
    });
    // Without a keeper there is no sandbox, or none that will be released.
    const { data } = stoppedSchema.safeParse(answer);
    await this.exited(runId, { code: data?.code ?? (await this.#deps.files.end(record.keeper))?.code ?? KILLED });
  }

  async signal(runId: string, signal: string): Promise<void> {
    if (!(await this.#link(this.get(runId)).signal(signal))) throw new Problem("runs.not_found");
  }

  /** `undefined` for a foreground run, whose streams are its caller's. */
  streamed(runId: string): Streamed | undefined {
    const record = this.get(runId);
    if (!record.isDetached) return undefined;
    const code = () => {
      const { state, code: ended = 0 } = this.get(runId);
      return state === "exited" ? ended : undefined;
    };
    return { directory: this.#deps.files.directory(record.keeper), keeper: this.#link(record), code };
  }

  /** Ends every run whose keeper is gone, here and at the gate, and removes what it left. */
  async reconcile(): Promise<void> {
    for (const record of this.list()) await this.#endIfGone(record);
    for (const { runId, keeper } of await this.#deps.gate.call("listRuns", null)) {
      const isOver = (this.#runs.get(runId)?.state ?? "exited") === "exited";
      if (keeper !== undefined && isOver) await this.#deps.gate.call("endRun", { runId });
    }
  }

  async #endIfGone(record: RunRecord): Promise<void> {
    if (record.state === "exited" || (await this.#link(record).isThere())) return;
    const mayCome = await this.#mayStillCome(record);
    // Looked for after that: a keeper leaves its note before it goes.
    const end = await this.#deps.files.end(record.keeper);
    if (end === undefined && mayCome) return;
    await this.exited(record.runId, end ?? { code: KILLED });
  }

  /** Between its creation and its keeper's first word a run has none to ask. */
  async #mayStillCome(record: RunRecord): Promise<boolean> {
    const { state, createdAt, keeper } = record;
    if (state !== "starting" || this.#deps.clock.now() - createdAt >= START_WITHIN_MS) return false;
    return !this.#orphans.has(record) || (await isLaunched(keeper));
  }

  /** Starts the keeper and returns when the command runs. Fails with `sandbox.start_failed`. */
  async #startDetached(runId: string, launchPath: string): Promise<void> {
    let hasEnded = false;
    void spawnDetachedKeeper(launchPath).then(() => {
      hasEnded = true;
    });
    while (this.#runs.get(runId)?.state === "starting" && !hasEnded)
      await new Promise((resolve) => setTimeout(resolve, 10));
    const record = this.#runs.get(runId);
    if (record?.state === "starting") throw new Problem("sandbox.start_failed");
    if (record?.failure !== undefined) throw new Problem("sandbox.start_failed", { detail: record.failure });
  }

  async #update(record: RunRecord): Promise<void> {
    this.#runs.set(record.runId, record);
    await this.#deps.files.write(record);
  }

  async #forget(record: RunRecord): Promise<void> {
    this.#runs.delete(record.runId);
    await this.#deps.gate.call("endRun", { runId: record.runId });
    await this.#remove(record);
  }

  async #prune(): Promise<void> {
    const ended = this.list().filter(({ state }) => state === "exited");
    for (const record of ended.slice(MAX_KEPT)) {
      this.#runs.delete(record.runId);
      await this.#remove(record);
    }
  }

  /** What is its own goes before the record that says so. */
  async #remove({ ownsWorkspace, workspace, keeper }: RunRecord): Promise<void> {
    if (ownsWorkspace === true) await rm(workspace, { recursive: true, force: true });
    await this.#deps.files.remove(keeper);
  }

  #link(record: RunRecord): KeeperLink {
    return new KeeperLink(this.#keeperSocket(record));
  }

  /** `undefined` where its keeper is gone. */
  #askToStop(run: Pick<RunRecord, "keeper">): Promise<unknown> {
    const timeoutMs = STOP_GRACE_MS + 3_000;
    return askKeeper(this.#keeperSocket(run), { op: "stop", graceMs: STOP_GRACE_MS }, { timeoutMs });
  }

  #keeperSocket({ keeper }: Pick<RunRecord, "keeper">): string {
    return join(this.#deps.own.stateDir, "keepers", `${keeper}.sock`);
  }
}
