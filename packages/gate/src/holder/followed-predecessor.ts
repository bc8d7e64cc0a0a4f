import { createHash } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import { type Lifetime, parseRunId, type RunId } from "@gatehouse/core";
import { type Log, requestUnixOk, streamUnix } from "@gatehouse/kit";
import type { RefusedRun } from "../registry/refused-runs.ts";
import type { RunPublisher } from "../registry/registry-deps.ts";
import type { RunSnapshot } from "../snapshot/run-snapshot.ts";
import type { Predecessor } from "./gate-protocol.ts";

export interface FollowedPredecessorDeps {
  readonly log: Log;
  /** Records as its workers wrote them. */
  readonly onRecords: (records: Uint8Array) => void;
  /** Audit entries of its workers. */
  readonly onAudit: (lines: string) => void;
}

const ALL_SERVE_WITHIN_MS = 15_000;
const FOLLOW_TIMEOUT_MS = 3_000;

/**
 * The daemon before this one, while its last connections end. Every change here holds there before it is answered: a
 * run that is changed or ended is cut there, and one that does not follow is killed.
 */
export class FollowedPredecessor implements RunPublisher, Disposable {
  readonly #place: Predecessor;
  readonly #log: Log;
  readonly #stop = new AbortController();
  readonly #gone = Promise.withResolvers<void>();
  /** What its tunnels were opened under, by run id. */
  readonly #known = new Map<string, string>();
  #isGone = false;

  private constructor(place: Predecessor, log: Log) {
    this.#place = place;
    this.#log = log;
  }

  /** `undefined` when it is gone already: then there is nothing to follow. */
  static async open(place: Predecessor, deps: FollowedPredecessorDeps): Promise<FollowedPredecessor | undefined> {
    const one = new FollowedPredecessor(place, deps.log);
    const lines = streamUnix({ socketPath: place.control, path: "/follow", signal: one.#stop.signal });
    try {
      await lines.next();
    } catch (failure) {
      deps.log.warn("the predecessor is gone", { failure });
      return undefined;
    }
    void one.#follow(lines, deps);
    return one;
  }

  /**
   * The runs that are served here are what its tunnels know. Those that are refused here are cut there: no change of
   * theirs would be told. One that cannot be named ends it.
   */
  async remember(served: readonly RunSnapshot[], refused: readonly RefusedRun[]): Promise<void> {
    for (const run of served) this.#known.set(run.runId, fingerprint(run));
    for (const run of refused) {
      const runId = readRunId(run.runId);
      if (runId === undefined) return this.end("it serves runs that cannot be named");
      this.#known.set(runId, "");
      await this.drop(runId);
    }
  }

  async put(run: RunSnapshot): Promise<void> {
    const known = this.#known.get(run.runId);
    if (known !== undefined && known !== fingerprint(run)) await this.drop(run.runId);
  }

  async drop(runId: RunId): Promise<void> {
    if (this.#isGone || !this.#known.delete(runId)) return;
    try {
      await this.#call("/drop", { run_id: runId });
    } catch (failure) {
      await this.end(failure);
    }
  }

  /** Ends it with every connection that it has left; resolves when it is gone. */
  async end(failure: unknown): Promise<void> {
    if (this.#isGone) return;
    this.#log.error("the predecessor is ended", { pid: this.#place.pid, failure });
    process.kill(this.#place.pid, "SIGKILL");
    await this.#gone.promise;
  }

  /** The predecessor accepts no more, once this daemon's workers have its listeners or will not have them. */
  async finish(allServe: () => Promise<void>): Promise<void> {
    const late = new AbortController();
    const waited = delay(ALL_SERVE_WITHIN_MS, undefined, { signal: late.signal }).catch(() => undefined);
    await Promise.race([allServe(), waited]);
    late.abort();
    try {
      await this.#call("/drain", {});
    } catch (failure) {
      this.#log.warn("the predecessor was gone before it could hand over", { failure });
    }
  }

  async #call(path: string, body: object): Promise<void> {
    const { control: socketPath } = this.#place;
    await requestUnixOk({ socketPath, method: "POST", path, body, timeoutMs: FOLLOW_TIMEOUT_MS });
  }

  async #follow(lines: AsyncIterable<string>, { onRecords, onAudit }: FollowedPredecessorDeps): Promise<void> {
    try {
      for await (const line of lines) {
        const { records, audit } = JSON.parse(line) as { readonly records?: string; readonly audit?: string };
        if (audit !== undefined) onAudit(audit);
        if (records !== undefined) onRecords(Buffer.from(records, "base64"));
      }
    } catch {
      // However it ended, it is over: its connections are gone with it.
    }
    this.#isGone = true;
    this.#gone.resolve();
  }

  [Symbol.dispose](): void {
    this.#stop.abort(new DOMException("closing", "AbortError"));
  }
}

/** Follows the daemon before this one for as long as this one lives. */
export async function followPredecessor(
  place: Predecessor | undefined,
  { life, ...deps }: FollowedPredecessorDeps & { readonly life: Lifetime },
): Promise<FollowedPredecessor | undefined> {
  const followed = place === undefined ? undefined : await FollowedPredecessor.open(place, deps);
  return followed === undefined ? undefined : life.own(followed);
}

function readRunId(text: string): RunId | undefined {
  try {
    return parseRunId(text);
  } catch {
    return undefined; // an entry, or a file, of which nothing could be read
  }
}

/** From where a container connects says nothing of tunnels that are open already. */
function fingerprint(run: RunSnapshot): string {
  const text = JSON.stringify({ ...run, containerAddresses: undefined });
  return createHash("sha256").update(text).digest("hex");
}
