import type { RefusedEntry } from "./runs-file.ts";

/** A run that was not brought back, and why; `*` stands for a whole file. */
export interface RefusedRun {
  readonly runId: string;
  readonly reason: string;
}

/**
 * What a restart refused. Its entries stay in `runs.json`, so that what is put right comes back at the next start; one
 * goes when its run is registered anew or ended.
 */
export class RefusedRuns {
  readonly #faults: readonly RefusedRun[];
  #entries: readonly RefusedEntry[];

  /** `faults` are of whole files: what a person must know, with no entry to keep. */
  constructor(entries: readonly RefusedEntry[], faults: readonly (string | undefined)[]) {
    this.#entries = entries;
    this.#faults = faults.flatMap((reason) => (reason === undefined ? [] : [{ runId: "*", reason }]));
  }

  get entries(): readonly RefusedEntry[] {
    return this.#entries;
  }

  report(): readonly RefusedRun[] {
    return [...this.#faults, ...this.#entries.map(({ runId, reason }) => ({ runId, reason }))];
  }

  findByTokenHash(tokenHash: string): RefusedEntry | undefined {
    return this.#entries.find((one) => one.tokenHash === tokenHash);
  }

  /** Forgets what stands under an id and returns it. */
  take(runId: string): readonly RefusedEntry[] {
    const taken = this.#entries.filter((one) => one.runId === runId);
    this.#entries = this.#entries.filter((one) => one.runId !== runId);
    return taken;
  }

  putBack(entries: readonly RefusedEntry[]): void {
    this.#entries = [...this.#entries, ...entries];
  }
}
