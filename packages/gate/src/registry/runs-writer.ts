import type { RegisteredRun } from "./registered-run.ts";
import { writeRuns } from "./runs-file.ts";

/**
 * Writes the registry, one write at a time. Changes that come during a write share the next one, so a burst costs two
 * writes; each caller is answered when a write that holds its change is on disk.
 */
export class RunsWriter {
  readonly #stateDir: string;
  readonly #runs: () => readonly RegisteredRun[];
  #proxyPort: number;
  #running: Promise<void> | undefined;
  #next: Promise<void> | undefined;

  constructor(stateDir: string, runs: () => readonly RegisteredRun[], proxyPort: number) {
    this.#stateDir = stateDir;
    this.#runs = runs;
    this.#proxyPort = proxyPort;
  }

  get proxyPort(): number {
    return this.#proxyPort;
  }

  async setProxyPort(port: number): Promise<void> {
    this.#proxyPort = port;
    await this.write();
  }

  /** Resolves when what is registered now is durable. Fails with `state.write_failed`. */
  write(): Promise<void> {
    if (this.#running === undefined) return this.#start();
    this.#next ??= this.#running.then(
      () => this.#start(),
      () => this.#start(),
    );
    return this.#next;
  }

  #start(): Promise<void> {
    this.#next = undefined;
    const running = writeRuns(this.#stateDir, this.#proxyPort, this.#runs()).finally(() => {
      if (this.#running === running) this.#running = undefined;
    });
    this.#running = running;
    return running;
  }
}
