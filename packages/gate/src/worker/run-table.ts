import type { RunId } from "@gatehouse/core";
import type { Freshness } from "../fleet/freshness.ts";
import type { RunSnapshot } from "../snapshot/run-snapshot.ts";
import type { SessionCache } from "../upstream/open-upstream.ts";
import { CompiledRun } from "./compile-run.ts";
import type { IdleUpstreams } from "./idle-upstreams.ts";

/** A connection of a run, which is cut when the run ends. */
export interface RunConnection extends Disposable {
  /** The run has this form now: ends what it does not allow any more. */
  recheck?(run: CompiledRun): void;
}

/** A run that is served: its current form, and what must end with it. */
export interface RunEntry {
  readonly runId: RunId;
  /** Replaced whole by `put`; look it up anew for each request. */
  current: CompiledRun;
  readonly connections: Set<RunConnection>;
  /** TLS sessions of this run's upstreams, for resumption. */
  readonly tlsSessions: SessionCache;
}

/** The runs of this worker, found by id and by token in constant time. */
export class RunTable {
  readonly #byId = new Map<string, RunEntry>();
  readonly #byTokenHash = new Map<string, RunEntry>();

  readonly #freshness: Freshness;
  readonly #idleUpstreams: IdleUpstreams;

  constructor(freshness: Freshness, idleUpstreams: IdleUpstreams) {
    this.#freshness = freshness;
    this.#idleUpstreams = idleUpstreams;
  }

  get size(): number {
    return this.#byId.size;
  }

  get(runId: string): RunEntry | undefined {
    return this.#byId.get(runId);
  }

  /** Looking up a hash tells by its duration nothing about the token. */
  findByTokenHash(tokenHash: string): RunEntry | undefined {
    return this.#byTokenHash.get(tokenHash);
  }

  /** Adds a run or replaces it; what is under way and not allowed any more is ended. */
  put(snapshot: RunSnapshot): void {
    const compiled = new CompiledRun(snapshot, this.#freshness);
    const entry = this.#byId.get(snapshot.runId);
    if (entry === undefined) {
      const added: RunEntry = {
        runId: snapshot.runId,
        current: compiled,
        connections: new Set(),
        tlsSessions: new Map(),
      };
      this.#byId.set(snapshot.runId, added);
      this.#byTokenHash.set(snapshot.tokenHash, added);
      return;
    }
    this.#byTokenHash.delete(entry.current.snapshot.tokenHash);
    this.#idleUpstreams.forget(entry.current);
    entry.current = compiled;
    this.#byTokenHash.set(snapshot.tokenHash, entry);
    for (const connection of [...entry.connections]) connection.recheck?.(compiled);
  }

  /** Forgets the run and cuts every connection that it has. */
  drop(runId: string): void {
    const entry = this.#byId.get(runId);
    if (entry === undefined) return;
    this.#byId.delete(runId);
    this.#byTokenHash.delete(entry.current.snapshot.tokenHash);
    for (const connection of [...entry.connections]) connection[Symbol.dispose]();
    this.#idleUpstreams.forget(entry.current);
  }

  dropAll(): void {
    for (const runId of [...this.#byId.keys()]) this.drop(runId);
  }
}
