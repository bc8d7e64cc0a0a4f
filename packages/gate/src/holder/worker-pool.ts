import type { ChildProcess } from "node:child_process";
import type { RunId } from "@gatehouse/core";
import {
  errorCode,
  type IpcPeer,
  type Log,
  openIpcPeer,
  resolveEntry,
  type SupervisedChild,
  Supervisor,
} from "@gatehouse/kit";
import type { RunPublisher } from "../registry/run-registry.ts";
import type { RunSnapshot } from "../snapshot/run-snapshot.ts";
import type { HolderCalls, HolderNotes, WorkerCalls, WorkerConfig } from "../snapshot/worker-protocol.ts";

// biome-ignore lint/complexity/noBannedTypes: workers are sent no notes
type NoNotes = {};
type WorkerPeer = IpcPeer<WorkerCalls, NoNotes>;

export interface WorkerPoolOptions {
  readonly count: number;
  readonly log: Log;
  readonly config: Omit<WorkerConfig, "port">;
  /** Port to ask for first; 0 takes any free one. */
  readonly port: number;
  readonly snapshots: () => readonly RunSnapshot[];
  readonly mintLeaf: (request: HolderCalls["mintLeaf"]["params"]) => Promise<HolderCalls["mintLeaf"]["result"]>;
  readonly onRecords: (records: HolderNotes["records"]) => void;
}

const SERVE_TIMEOUT_MS = 6_000;
const DRAIN_MS = 2_000;

/** The workers: started one after the other, restarted when they die, told of every change. */
export class WorkerPool implements RunPublisher, AsyncDisposable {
  readonly #options: WorkerPoolOptions;
  readonly #supervisor: Supervisor;
  readonly #children: SupervisedChild[] = [];
  readonly #ready = new Map<number, WorkerPeer>();
  readonly #starting = new Set<Promise<void>>();
  readonly #firstReady = Promise.withResolvers<number>();
  #generation = 0;
  #port: number;

  constructor(options: WorkerPoolOptions) {
    this.#options = options;
    this.#port = options.port;
    this.#supervisor = new Supervisor({ log: options.log });
  }

  /** Starts the workers and returns the shared port, once the first one serves. */
  async start(): Promise<number> {
    this.#launch(0);
    const port = await this.#firstReady.promise;
    for (let index = 1; index < this.#options.count; index += 1) this.#launch(index);
    return port;
  }

  workers(): readonly { readonly pid: number | undefined; readonly isReady: boolean }[] {
    return this.#children.map(({ pid }) => ({ pid, isReady: pid !== undefined && this.#ready.has(pid) }));
  }

  put(run: RunSnapshot): Promise<void> {
    this.#generation += 1;
    return this.#tellAll((peer) => peer.call("putRun", { generation: this.#generation, run }));
  }

  drop(runId: RunId): Promise<void> {
    this.#generation += 1;
    return this.#tellAll((peer) => peer.call("dropRun", { generation: this.#generation, runId }));
  }

  /** Every worker accepts on the run's listener, or it fails as the first one does that cannot. */
  serveListener(runId: RunId, keeper: string): Promise<void> {
    return this.#tellAll((peer) => peer.call("serveListener", { runId, keeper }, { timeoutMs: SERVE_TIMEOUT_MS }));
  }

  /**
   * A worker that is being started took the table of a moment ago: it is waited for and told like the others. One that
   * dies meanwhile is no failure: its successor starts with the whole table.
   */
  async #tellAll(call: (peer: WorkerPeer) => Promise<null>): Promise<void> {
    await Promise.allSettled(this.#starting);
    const results = await Promise.allSettled([...this.#ready.values()].map(call));
    for (const result of results) {
      if (result.status === "rejected" && errorCode(result.reason) !== "process.gone") throw result.reason;
    }
  }

  #launch(index: number): void {
    this.#children.push(
      this.#supervisor.start({
        name: `gate-worker-${index}`,
        entry: resolveEntry("gate-worker"),
        onStart: (child, signal) => this.#track(this.#greet(child, signal)),
      }),
    );
  }

  #track(starting: Promise<void>): Promise<void> {
    this.#starting.add(starting);
    return starting.finally(() => this.#starting.delete(starting));
  }

  async #greet(child: ChildProcess, signal: AbortSignal): Promise<void> {
    const peer = openIpcPeer<HolderCalls, WorkerCalls, HolderNotes>(
      child,
      {
        mintLeaf: (request) => this.#options.mintLeaf(request),
        records: (records) => this.#options.onRecords(records),
      },
      { signal },
    );
    const pid = child.pid ?? 0;
    const { port } = await peer.call("start", {
      generation: this.#generation,
      runs: this.#options.snapshots(),
      config: { ...this.#options.config, port: this.#port },
    });
    this.#port = port;
    this.#ready.set(pid, peer);
    void peer.closed.then(() => this.#ready.delete(pid));
    await this.#serveListeners(peer);
    this.#firstReady.resolve(port);
  }

  async #serveListeners(peer: WorkerPeer): Promise<void> {
    for (const { runId, place } of this.#options.snapshots()) {
      if (place.kind !== "sandbox") continue;
      try {
        await peer.call("serveListener", { runId, keeper: place.keeper }, { timeoutMs: SERVE_TIMEOUT_MS });
      } catch (failure) {
        this.#options.log.warn("a sandbox's listener could not be taken", { runId, failure: String(failure) });
      }
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.allSettled([...this.#ready.values()].map((peer) => peer.call("drain", { deadlineMs: DRAIN_MS })));
    await this.#supervisor[Symbol.asyncDispose]();
  }
}
