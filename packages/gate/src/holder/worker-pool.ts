import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { Problem, type RunId } from "@gatehouse/core";
import { type Log, openIpcPeer, resolveEntry, type SupervisedChild, Supervisor } from "@gatehouse/kit";
import { GateTotals } from "../metrics/gate-totals.ts";
import type { WorkerTotals } from "../metrics/worker-totals.ts";
import type { RunSnapshot } from "../snapshot/run-snapshot.ts";
import type { HolderCalls, HolderNotes, WorkerCalls, WorkerConfig } from "../snapshot/worker-protocol.ts";
import { DIALING_ENVIRONMENT } from "../upstream/open-upstream.ts";
import type { Follower } from "./followers.ts";
import type { ReadyWorker } from "./ready-worker.ts";
import { SandboxListeners } from "./sandbox-listeners.ts";

export interface WorkerPoolOptions {
  readonly count: number;
  readonly log: Log;
  readonly config: Omit<WorkerConfig, "port">;
  /** Port to ask for first; 0 takes any free one. */
  readonly port: number;
  /** Where each worker of a predecessor offers its listeners. */
  readonly inherits: readonly (readonly string[])[];
  readonly snapshots: () => readonly RunSnapshot[];
  readonly mintLeaf: (request: HolderCalls["mintLeaf"]["params"]) => Promise<HolderCalls["mintLeaf"]["result"]>;
  /** Which log entries are for, and whether it takes them now. */
  readonly audit: () => { readonly node: string; readonly isTaken: boolean };
  /** Until when the organisation's credentials are used, in seconds since boot. */
  readonly freshUntilSeconds: () => number;
  /** Resolves when the entries are durable. */
  readonly onAudit: (lines: string) => Promise<void>;
  readonly onRecords: (records: HolderNotes["records"]) => void;
  /** A worker ended unasked. What it had not handed over yet is lost: audit entries of a moment, 25 ms at most. */
  readonly onLost: (index: number) => void;
}

const START_TIMEOUT_MS = 10_000;
/** So often the first worker may fail to start before the start of the gate fails with it. */
const MAX_FIRST_STARTS = 5;
const SERVE_TIMEOUT_MS = 6_000;
/** A worker that has not followed a change by then never might: it is ended, and its successor knows the change. */
const FOLLOW_TIMEOUT_MS = 3_000;
const DRAIN_MS = 2_000;
const DRAIN_ANSWER_MS = DRAIN_MS + 500;

/** The workers: started one after the other, restarted when they die, told of every change in the order of changes. */
export class WorkerPool implements Follower, AsyncDisposable {
  readonly #options: WorkerPoolOptions;
  readonly #supervisor: Supervisor;
  readonly #children: SupervisedChild[] = [];
  readonly #ready = new Set<ReadyWorker>();
  readonly #starting = new Set<Promise<unknown>>();
  /** By index: resolved when the worker has served once. */
  readonly #served: readonly PromiseWithResolvers<void>[];
  readonly #firstReady = Promise.withResolvers<number>();
  readonly #listeners: SandboxListeners;
  readonly #totals = new GateTotals();
  #telling: Promise<unknown> = Promise.resolve();
  #generation = 0;
  #failedStarts = 0;
  #port: number;
  #isEnding = false;

  constructor(options: WorkerPoolOptions) {
    this.#options = options;
    this.#port = options.port;
    this.#served = Array.from({ length: options.count }, () => Promise.withResolvers<void>());
    this.#supervisor = new Supervisor({ log: options.log });
    this.#listeners = new SandboxListeners({ ...options, keepersDir: options.config.keepersDir });
  }

  /** Starts the workers and returns the shared port, once the first one serves. */
  async start(): Promise<number> {
    this.#launch(0);
    const port = await this.#firstReady.promise;
    for (let index = 1; index < this.#options.count; index += 1) this.#launch(index);
    return port;
  }

  /** Resolves when every worker has served once. */
  async allServe(): Promise<void> {
    await Promise.all(this.#served.map(({ promise }) => promise));
  }

  /** For a successor: where each worker offers its listeners. */
  offerListeners(): Promise<readonly (readonly string[])[]> {
    const options = { timeoutMs: SERVE_TIMEOUT_MS };
    return Promise.all([...this.#ready].map(({ peer }) => peer.call("offerListeners", null, options)));
  }

  /**
   * From here on a worker that ends is not started again: it would serve what holds here, and that is no longer what
   * holds.
   */
  keepNoMore(): void {
    this.#supervisor.beginShutdown();
  }

  /** Accepts no more, and resolves when every connection has ended, at the deadline at the latest. */
  async drain(deadlineMs: number): Promise<void> {
    const params = { deadlineMs, keepsIdle: true };
    const options = { timeoutMs: deadlineMs + DRAIN_ANSWER_MS };
    await Promise.allSettled(this.#starting);
    await Promise.allSettled([...this.#ready].map(({ peer }) => peer.call("drain", params, options)));
  }

  workers(): readonly { readonly pid: number | undefined; readonly isReady: boolean }[] {
    const ready = new Set([...this.#ready].map(({ child }) => child.pid));
    return this.#children.map(({ pid }) => ({ pid, isReady: pid !== undefined && ready.has(pid) }));
  }

  /** What all workers have counted since the gate started. */
  totals(): WorkerTotals {
    return this.#totals.sum();
  }

  /** Fails as the first worker does that cannot take the run. */
  put(run: RunSnapshot): Promise<void> {
    this.#generation += 1;
    const params = { generation: this.#generation, run };
    return this.#tellAll(({ peer }) => peer.call("putRun", params, { timeoutMs: FOLLOW_TIMEOUT_MS }));
  }

  /** Never fails: a worker that does not let go of a run is ended. */
  drop(runId: RunId): Promise<void> {
    this.#generation += 1;
    const params = { generation: this.#generation, runId };
    return this.#tellAll(async (worker) => {
      try {
        await worker.peer.call("dropRun", params, { timeoutMs: FOLLOW_TIMEOUT_MS });
      } catch {
        await this.#endStuck(worker);
      }
      return null;
    });
  }

  /** Tells whether the audit log can be written. A worker that does not hear is ended. */
  setAudit(isTaken: boolean): Promise<void> {
    return this.#tellAll(({ peer }) => peer.call("setAudit", { isTaken }, { timeoutMs: FOLLOW_TIMEOUT_MS }));
  }

  /** Tells until when the organisation's credentials are used. A worker that does not hear is ended. */
  setFreshness(untilSeconds: number): Promise<void> {
    return this.#tellAll(({ peer }) => peer.call("setFreshness", { untilSeconds }, { timeoutMs: FOLLOW_TIMEOUT_MS }));
  }

  /** Every worker accepts on the run's listener, or it fails as the first one does that cannot. */
  serveListener(runId: RunId, keeper: string): Promise<void> {
    return this.#tellAll(({ peer }) => peer.call("serveListener", { runId, keeper }, { timeoutMs: SERVE_TIMEOUT_MS }));
  }

  /**
   * A worker that is being started took the table of a moment ago: it is waited for and told like the others. One that
   * dies meanwhile is no failure: its successor starts with the whole table.
   */
  async #tellAll(call: (worker: ReadyWorker) => Promise<null>): Promise<void> {
    const told = this.#telling.then(async () => {
      await Promise.allSettled(this.#starting);
      // Sent in this order, which the channel keeps; the answers are awaited beside those of later changes.
      return { answers: Promise.allSettled([...this.#ready].map((worker) => this.#tell(worker, call))) };
    });
    this.#telling = told;
    for (const answer of await (await told).answers) if (answer.status === "rejected") throw answer.reason;
  }

  async #tell(worker: ReadyWorker, call: (worker: ReadyWorker) => Promise<null>): Promise<void> {
    try {
      await call(worker);
    } catch (failure) {
      if (isGone(worker.child)) return;
      if (!isTimeout(failure)) throw failure;
      await this.#endStuck(worker);
    }
  }

  /** What a stuck worker serves is not what holds now. */
  async #endStuck({ child }: ReadyWorker): Promise<void> {
    if (isGone(child)) return;
    this.#options.log.error("a worker does not follow and is ended", { pid: child.pid });
    const gone = once(child, "exit");
    child.kill("SIGKILL");
    await gone;
  }

  #launch(index: number): void {
    this.#children.push(
      this.#supervisor.start({
        name: `gate-worker-${index}`,
        entry: resolveEntry("gate-worker"),
        env: DIALING_ENVIRONMENT,
        onStart: (child, signal) => this.#startUp(index, child, signal),
      }),
    );
  }

  async #startUp(index: number, child: ChildProcess, signal: AbortSignal): Promise<void> {
    const starting = this.#greet(index, child, signal);
    this.#starting.add(starting);
    try {
      void starting.then(() => this.#served[index]?.resolve()).catch(() => undefined);
      await this.#listeners.serveAll(await starting.finally(() => this.#starting.delete(starting)), signal);
    } catch (failure) {
      this.#failedStarts += 1;
      if (this.#failedStarts >= MAX_FIRST_STARTS) this.#firstReady.reject(failure);
      throw failure;
    }
  }

  async #greet(index: number, child: ChildProcess, signal: AbortSignal): Promise<ReadyWorker> {
    const peer: ReadyWorker["peer"] = openIpcPeer<HolderCalls, WorkerCalls, HolderNotes>(
      child,
      {
        mintLeaf: (request) => this.#options.mintLeaf(request),
        audit: async (lines) => {
          await this.#options.onAudit(lines);
          return null;
        },
        records: (records) => this.#options.onRecords(records),
        totals: (totals) => this.#totals.take(child, totals),
      },
      { signal },
    );
    const start = {
      generation: this.#generation,
      runs: this.#options.snapshots(),
      audit: this.#options.audit(),
      freshUntilSeconds: this.#options.freshUntilSeconds(),
      inherits: this.#options.inherits.flatMap((paths, from) => (from % this.#options.count === index ? paths : [])),
      config: { ...this.#options.config, port: this.#port },
    };
    const { port } = await peer.call("start", start, { timeoutMs: START_TIMEOUT_MS });
    this.#port = port;
    const worker = { child, peer };
    this.#ready.add(worker);
    void peer.closed.then(() => {
      this.#ready.delete(worker);
      this.#totals.end(child);
      if (!this.#isEnding) this.#options.onLost(index);
    });
    this.#firstReady.resolve(port);
    return worker;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isEnding = true;
    const drained = { timeoutMs: DRAIN_ANSWER_MS };
    await Promise.allSettled(
      [...this.#ready].map(({ peer }) => peer.call("drain", { deadlineMs: DRAIN_MS, keepsIdle: false }, drained)),
    );
    await this.#supervisor[Symbol.asyncDispose]();
  }
}

function isGone(child: ChildProcess): boolean {
  return !child.connected || child.exitCode !== null || child.signalCode !== null;
}

function isTimeout(failure: unknown): boolean {
  return failure instanceof Problem && failure.code === "process.timeout";
}
