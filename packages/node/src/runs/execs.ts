import { createHash, randomBytes } from "node:crypto";
import { join, posix } from "node:path";
import {
  type Clock,
  PROBLEMS,
  Problem,
  type ProblemCode,
  parseRunId,
  type RunId,
  toCanonicalText,
} from "@gatehouse/core";
import { type Log, removeFile } from "@gatehouse/kit";
import * as z from "zod";
import type { GateLink } from "../daemon/gate-link.ts";
import { askKeeper } from "../keeper/ask-keeper.ts";
import type { ExecFiles, ExecRecord } from "./exec-files.ts";
import type { ExecRequest } from "./exec-request.ts";
import { KeeperLink } from "./keeper-link.ts";
import type { RunEnd, RunRecord } from "./run-files.ts";
import type { Sandboxes } from "./sandboxes.ts";
import type { Streamed } from "./streamed.ts";

export interface ExecsDeps {
  readonly stateDir: string;
  readonly sandboxes: Pick<Sandboxes, "get" | "has" | "list">;
  readonly files: ExecFiles;
  readonly gate: Pick<GateLink, "call">;
  readonly clock: Clock;
  readonly log: Log;
}

export interface ExecOptions {
  /** Default: a new one. */
  readonly execId?: RunId;
  /** Whoever asks takes its streams and holds it; else its output is kept. */
  readonly isHeld: boolean;
  /** Who asked, for the record. */
  readonly actor: string;
}

const START_WITHIN_MS = 20_000;
const STOP_GRACE_MS = 5_000;
/** Of a command its program alone is on record: arguments may hold what is nobody else's. */
const MAX_PROGRAM_CHARACTERS = 256;
/** Ended commands of one run whose output is kept. */
const MAX_KEPT = 20;
/** What is said of a command whose end nobody saw. */
const KILLED = 137;
const answerSchema = z.union([
  z.object({ ok: z.literal(true) }),
  z.object({ error: z.string(), detail: z.string().optional() }),
]);

/** Further commands in this node's runs. Each is its run's keeper's, ends with the run, and outlives the daemon. */
export class Execs {
  readonly #deps: ExecsDeps;
  readonly #execs = new Map<string, ExecRecord>();
  /** Its end may be told and found out at once. */
  readonly #ending = new Map<string, Promise<void>>();

  private constructor(deps: ExecsDeps) {
    this.#deps = deps;
  }

  /** Takes over the commands of runs that live. */
  static async open(deps: ExecsDeps): Promise<Execs> {
    const execs = new Execs(deps);
    for (const { keeper } of deps.sandboxes.list()) {
      for (const record of await deps.files.list(keeper)) execs.#execs.set(record.execId, record);
    }
    await execs.reconcile();
    return execs;
  }

  /**
   * Runs a command in a run, on record first. Returns when it runs. Fails with `runs.not_found`, `runs.not_running`,
   * `runs.id_taken`, `exec.…`, `audit.unwritable`.
   */
  async start(runId: string, request: ExecRequest, options: ExecOptions): Promise<ExecRecord> {
    const { files, clock, log } = this.#deps;
    const run = this.#liveRun(runId);
    const execId = options.execId ?? parseRunId(randomBytes(8).toString("hex"));
    const keeper = socketNameOf(execId);
    // Under a run's id it would be taken for the run by whoever stops that.
    const isId = this.#execs.has(execId) || this.#deps.sandboxes.has(execId);
    const isName = this.holds(keeper) || this.#deps.sandboxes.list().some((other) => other.keeper === keeper);
    if (isId || isName) throw new Problem("runs.id_taken");
    const { command, env, timeoutMs } = request;
    const { isHeld, actor } = options;
    const record = { execId, runId, keeper, isHeld, startedAt: clock.now() };
    this.#execs.set(execId, record);
    try {
      const program = toCanonicalText((command[0] ?? "").slice(0, MAX_PROGRAM_CHARACTERS));
      await this.#record("exec.started", actor, { run: runId, exec: execId, program });
      const workdir = posix.resolve(run.workspace, request.workdir);
      const { terminal } = request;
      await files.create(run.keeper, record, {
        ...{ execId, keeper, command: [...command], env, workdir, timeoutMs, isHeld },
        ...(terminal === undefined ? {} : { terminal }),
      });
      await this.#ask(run, keeper);
    } catch (failure) {
      this.#execs.delete(execId);
      await files.remove(run.keeper, record.keeper);
      throw failure;
    }
    log.info("command started in a run", { runId, execId });
    return record;
  }

  /** Whether a command has the socket of that name. */
  holds(keeper: string): boolean {
    return [...this.#execs.values()].some((record) => record.keeper === keeper);
  }

  #liveRun(runId: string): RunRecord {
    const run = this.#deps.sandboxes.get(runId);
    if (run.state !== "running") {
      const { state, code = 0 } = run;
      const detail = state === "exited" ? `It has ended with code ${code}.` : "It is being started.";
      throw new Problem("runs.not_running", { detail });
    }
    if (run.driver === "process") {
      throw new Problem("exec.unsupported", { detail: "Its driver isolates nothing: there is no sandbox to enter." });
    }
    return run;
  }

  async #ask({ keeper }: RunRecord, name: string): Promise<void> {
    const asked = askKeeper(this.#socket(keeper), { op: "exec", keeper: name }, { timeoutMs: START_WITHIN_MS });
    const answer = answerSchema.safeParse(await asked).data;
    if (answer === undefined) throw new Problem("runs.not_found");
    if ("ok" in answer) return;
    const { error, detail = "" } = answer;
    if (!isCode(error)) throw new Problem("exec.unsupported", { detail: "An earlier release started the run." });
    throw new Problem(error, { detail });
  }

  /** A command's keeper says that it ended. */
  async exited(execId: string, end: RunEnd): Promise<void> {
    const record = this.#execs.get(execId);
    if (record === undefined || record.code !== undefined) return;
    const ending = this.#ending.get(execId) ?? this.#end(record, end).finally(() => void this.#ending.delete(execId));
    this.#ending.set(execId, ending);
    await ending;
  }

  async #end(record: ExecRecord, { code }: RunEnd): Promise<void> {
    const { clock, files, log } = this.#deps;
    const { execId, runId } = record;
    const ended = { ...record, code, endedAt: clock.now() };
    this.#execs.set(execId, ended);
    log.info("command in a run ended", { runId, execId, code });
    const run = this.#runOf(record);
    if (run !== undefined) await files.write(run.keeper, ended);
    await this.#record("exec.ended", "node", { run: runId, exec: execId, code }).catch((failure: unknown) => {
      log.error("a command's end is not on record", { execId, failure });
    });
    await this.#prune(runId);
  }

  /** Sends a signal, where it is one of this node's commands. */
  async signal(execId: string, signal: string): Promise<void> {
    const record = this.#require(execId);
    if (!(await this.#link(record).signal(signal))) throw new Problem("runs.not_found");
  }

  /** Ends a command: asked first, by force after a while. */
  async stop(execId: string): Promise<void> {
    const { keeper, code } = this.#require(execId);
    if (code !== undefined) return;
    const timeoutMs = STOP_GRACE_MS + 3_000;
    await askKeeper(this.#socket(keeper), { op: "stop", graceMs: STOP_GRACE_MS }, { timeoutMs });
  }

  has(execId: string): boolean {
    return this.#execs.has(execId);
  }

  /** `undefined` where there is no such command, or somebody holds its streams. */
  streamed(execId: string): Streamed | undefined {
    const record = this.#execs.get(execId);
    const run = record && this.#runOf(record);
    if (record === undefined || run === undefined || record.isHeld) return undefined;
    const directory = this.#deps.files.directory(run.keeper, record.keeper);
    return { directory, keeper: this.#link(record), code: () => this.#execs.get(execId)?.code };
  }

  /** Ends those whose keeper is gone, and forgets those whose run is. */
  async reconcile(): Promise<void> {
    for (const record of [...this.#execs.values()]) {
      const run = this.#runOf(record);
      if (record.code === undefined && (await this.#isOver(record, run))) {
        await removeFile(this.#socket(record.keeper));
        const end = run && (await this.#deps.files.end(run.keeper, record.keeper));
        await this.exited(record.execId, end ?? { code: KILLED });
      }
      if (run === undefined) this.#execs.delete(record.execId);
    }
  }

  async #isOver(record: ExecRecord, run: RunRecord | undefined): Promise<boolean> {
    if (run === undefined || run.state === "exited") return true;
    const mayStillCome = this.#deps.clock.now() - record.startedAt < START_WITHIN_MS;
    return !mayStillCome && !(await this.#link(record).isThere());
  }

  async #prune(runId: string): Promise<void> {
    const ended = [...this.#execs.values()].filter((one) => one.runId === runId && one.code !== undefined);
    const oldest = ended.sort((a, b) => (b.endedAt ?? 0) - (a.endedAt ?? 0)).slice(MAX_KEPT);
    for (const record of oldest) {
      this.#execs.delete(record.execId);
      const run = this.#runOf(record);
      if (run !== undefined) await this.#deps.files.remove(run.keeper, record.keeper);
    }
  }

  #require(execId: string): ExecRecord {
    const record = this.#execs.get(execId);
    if (record === undefined) throw new Problem("runs.not_found");
    return record;
  }

  #runOf({ runId }: ExecRecord): RunRecord | undefined {
    return this.#deps.sandboxes.list().find((run) => run.runId === runId);
  }

  async #record(kind: string, actor: string, data: Readonly<Record<string, string | number>>): Promise<void> {
    await this.#deps.gate.call("putOnRecord", { kind, actor, data });
  }

  #link({ keeper }: ExecRecord): KeeperLink {
    return new KeeperLink(this.#socket(keeper));
  }

  #socket(keeper: string): string {
    return join(this.#deps.stateDir, "keepers", `${keeper}.sock`);
  }
}

/** Not that of a run of the same id. */
function socketNameOf(execId: string): string {
  return createHash("sha256").update(`exec/${execId}`).digest("hex").slice(0, 16);
}

function isCode(text: string): text is ProblemCode {
  return Object.hasOwn(PROBLEMS, text);
}
