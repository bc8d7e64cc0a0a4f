import type { RunSnapshot } from "../snapshot/run-snapshot.ts";
import type { RegisteredRun } from "./registered-run.ts";

/** A run and what workers are told of it; the two change together. */
export interface IndexedRun {
  readonly run: RegisteredRun;
  readonly snapshot: RunSnapshot;
}

/** Live runs by id and by token. */
export class RunIndex {
  readonly #byId = new Map<string, IndexedRun>();
  readonly #byTokenHash = new Map<string, IndexedRun>();

  get size(): number {
    return this.#byId.size;
  }

  all(): readonly IndexedRun[] {
    return [...this.#byId.values()];
  }

  get(runId: string): IndexedRun | undefined {
    return this.#byId.get(runId);
  }

  findByTokenHash(tokenHash: string): IndexedRun | undefined {
    return this.#byTokenHash.get(tokenHash);
  }

  /** Adds a run, or replaces the one of its id. */
  put(entry: IndexedRun): void {
    this.delete(entry.run.runId);
    this.#byId.set(entry.run.runId, entry);
    this.#byTokenHash.set(entry.run.tokenHash, entry);
  }

  delete(runId: string): void {
    const entry = this.#byId.get(runId);
    if (entry === undefined) return;
    this.#byId.delete(runId);
    this.#byTokenHash.delete(entry.run.tokenHash);
  }
}
