import { access } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import type { Log } from "@gatehouse/kit";
import type { RunSnapshot } from "../snapshot/run-snapshot.ts";
import type { ReadyWorker } from "./ready-worker.ts";

export interface SandboxListenersOptions {
  readonly log: Log;
  readonly keepersDir: string;
  /** The runs of now. */
  readonly snapshots: () => readonly RunSnapshot[];
}

interface Waiting {
  readonly runId: RunSnapshot["runId"];
  readonly keeper: string;
}

const TAKE_TIMEOUT_MS = 6_000;
const FIRST_RETRY_MS = 50;
const MAX_RETRY_MS = 1_000;
/** Keepers asked at once: one that hangs must not keep the other sandboxes waiting. */
const MAX_AT_ONCE = 16;

/** Gives a worker that was started among live sandboxes their listeners. */
export class SandboxListeners {
  readonly #options: SandboxListenersOptions;

  constructor(options: SandboxListenersOptions) {
    this.#options = options;
  }

  /** Asks every keeper, and again while it is there and the run lives; ends when all are served or the worker is gone. */
  async serveAll({ peer }: ReadyWorker, signal: AbortSignal): Promise<void> {
    let waiting = this.#options.snapshots().flatMap(({ runId, place }): Waiting[] => {
      return place.kind === "sandbox" ? [{ runId, keeper: place.keeper }] : [];
    });
    const serve = (run: Waiting) => peer.call("serveListener", { ...run }, { timeoutMs: TAKE_TIMEOUT_MS, signal });
    for (let waitMs = FIRST_RETRY_MS; !signal.aborted; waitMs = Math.min(2 * waitMs, MAX_RETRY_MS)) {
      const failed = await attemptAll(waiting, serve);
      if (signal.aborted) return;
      waiting = await this.#worthAsking(failed);
      if (waiting.length === 0) return;
      if (waitMs === FIRST_RETRY_MS) {
        this.#options.log.warn("sandboxes' listeners could not be taken yet", {
          runs: waiting.map(({ runId }) => runId),
        });
      }
      await delay(waitMs, undefined, { signal }).catch(() => undefined);
    }
  }

  /** A keeper without socket has ended, and its run with it. */
  async #worthAsking(runs: readonly Waiting[]): Promise<Waiting[]> {
    const live = new Set(this.#options.snapshots().map(({ runId }) => runId));
    const path = ({ keeper }: Waiting) => join(this.#options.keepersDir, `${keeper}.sock`);
    const isThere = await Promise.all(runs.map((run) => exists(path(run))));
    return runs.filter((run, index) => isThere[index] === true && live.has(run.runId));
  }
}

/** Returns those that failed. */
async function attemptAll(runs: readonly Waiting[], serve: (run: Waiting) => Promise<null>): Promise<Waiting[]> {
  const queue = [...runs];
  const failed: Waiting[] = [];
  const serveNext = async () => {
    for (let run = queue.shift(); run !== undefined; run = queue.shift()) {
      const current = run;
      await serve(current).catch(() => failed.push(current));
    }
  };
  await Promise.all(Array.from({ length: MAX_AT_ONCE }, serveNext));
  return failed;
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
