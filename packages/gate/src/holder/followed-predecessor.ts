import { createHash } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import { type Lifetime, parseRunId, type RunId, toProblem } from "@gatehouse/core";
import { errorCode, type Log, requestUnixOk, streamUnix } from "@gatehouse/kit";
import type { GateAudit } from "../audit/gate-audit.ts";
import type { RefusedRun } from "../registry/refused-runs.ts";
import type { RunSnapshot } from "../snapshot/run-snapshot.ts";
import type { Follower } from "./followers.ts";
import type { Predecessor } from "./gate-protocol.ts";
import { type SuccessorCalls, toldSchema } from "./handover-protocol.ts";

/** What holds here when the predecessor is first told. */
export interface HeldHere {
  readonly served: readonly RunSnapshot[];
  readonly refused: readonly RefusedRun[];
  readonly isTaken: boolean;
  readonly freshUntilSeconds: number;
}

/** Where what it tells is kept. */
export interface PredecessorKeep {
  readonly audit: GateAudit;
  /** Records as its workers wrote them. */
  readonly onRecords: (records: Uint8Array) => void;
}

const ALL_SERVE_WITHIN_MS = 15_000;
const FOLLOW_TIMEOUT_MS = 3_000;
/** Its log may be behind by a write that takes long. */
const LOG_TIMEOUT_MS = 10_000;
const ACK_RETRY_MS = 100;

/**
 * The daemon before this one, while its last connections end: the successor's side of `handover-protocol.ts`. Every
 * change here holds there before it is answered: a run that is changed or ended is cut there, and one that does not
 * follow is killed.
 */
export class FollowedPredecessor implements Follower, Disposable {
  readonly #place: Predecessor;
  readonly #log: Log;
  readonly #stop = new AbortController();
  readonly #gone = Promise.withResolvers<void>();
  /** What its tunnels were opened under, by run id. */
  readonly #known = new Map<string, string>();
  readonly #lines: AsyncGenerator<string>;
  #telling: Promise<unknown> = Promise.resolve();
  #isGone = false;

  private constructor(place: Predecessor, log: Log) {
    this.#place = place;
    this.#log = log;
    this.#lines = streamUnix({ socketPath: place.control, path: "/follow", signal: this.#stop.signal });
  }

  /** `undefined` when it is gone already: then there is nothing to follow. */
  static async open(place: Predecessor, log: Log): Promise<FollowedPredecessor | undefined> {
    const one = new FollowedPredecessor(place, log);
    try {
      await one.#lines.next();
    } catch (failure) {
      log.warn("the predecessor is gone", { failure });
      return undefined;
    }
    return one;
  }

  /** Its audit log is closed when this returns, if only because it is gone. Fails with `audit.unwritable` as it does. */
  async takeLog(): Promise<void> {
    try {
      await this.#call("log", {}, LOG_TIMEOUT_MS);
    } catch (failure) {
      if (toProblem(failure).code !== "daemon.unreachable") throw failure;
      this.#log.warn("the predecessor was gone before it could close the audit log", { failure });
    }
  }

  /** From here on what it tells is kept: each group of entries is acknowledged when it is durable. */
  keep(kept: PredecessorKeep): void {
    void this.#follow(kept);
  }

  /**
   * The runs that are served here are what its tunnels know. Those that are refused here are cut there: no change of
   * theirs would be told. One that cannot be named ends it.
   */
  async remember({ served, refused, isTaken, freshUntilSeconds }: HeldHere): Promise<void> {
    await this.setFreshness(freshUntilSeconds);
    if (!isTaken) await this.setAudit(isTaken);
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
    if (this.#known.delete(runId)) await this.#tell("drop", { run_id: runId });
  }

  setAudit(isTaken: boolean): Promise<void> {
    return this.#tell("audit", { is_taken: isTaken });
  }

  setFreshness(untilSeconds: number): Promise<void> {
    return this.#tell("freshness", { until_seconds: untilSeconds });
  }

  /** Ends it with every connection that it has left; resolves when it is gone. */
  async end(failure: unknown): Promise<void> {
    if (this.#isGone) return;
    this.#log.error("the predecessor is ended", { pid: this.#place.pid, failure });
    try {
      process.kill(this.#place.pid, "SIGKILL");
    } catch (gone) {
      if (errorCode(gone) !== "ESRCH") throw gone;
    }
    await this.#gone.promise;
  }

  /**
   * The predecessor accepts no more, once this daemon's workers have its listeners or will not have them. One that went
   * on accepting would know no run that is registered from here on.
   */
  async finish(allServe: () => Promise<void>): Promise<void> {
    const late = new AbortController();
    const waited = delay(ALL_SERVE_WITHIN_MS, undefined, { signal: late.signal }).catch(() => undefined);
    await Promise.race([allServe(), waited]);
    late.abort();
    await this.#tell("drain", {});
  }

  /** In the order of changes: what is told later holds later. One that does not follow is ended. */
  #tell<C extends keyof SuccessorCalls>(call: C, params: SuccessorCalls[C]): Promise<void> {
    const told = this.#telling.then(async () => {
      if (this.#isGone) return;
      await this.#call(call, params).catch((failure: unknown) => this.end(failure));
    });
    this.#telling = told;
    return told;
  }

  async #call<C extends keyof SuccessorCalls>(
    call: C,
    params: SuccessorCalls[C],
    timeoutMs: number = FOLLOW_TIMEOUT_MS,
  ): Promise<void> {
    const { control: socketPath } = this.#place;
    await requestUnixOk({ socketPath, method: "POST", path: `/${call}`, body: params, timeoutMs });
  }

  async #follow({ audit, onRecords }: PredecessorKeep): Promise<void> {
    try {
      for await (const line of this.#lines) {
        const told = toldSchema.parse(JSON.parse(line));
        if ("records" in told) onRecords(Buffer.from(told.records, "base64"));
        if ("group" in told) {
          audit.noteLines(told.lines);
          void this.#acknowledge(told.group, audit);
        }
      }
    } catch {
      // However it ended, it is over: its connections are gone with it.
    }
    this.#isGone = true;
    this.#gone.resolve();
  }

  /**
   * Not in turn with changes: one that waits for the disk must not hold up what makes requests be refused. Said until it
   * is heard: a predecessor that does not know that a group is on record keeps what follows, and refuses requests soon.
   */
  async #acknowledge(group: number, audit: GateAudit): Promise<void> {
    const { signal } = this.#stop;
    try {
      const entries = await audit.durable();
      for (let isHeard = false; !isHeard && !this.#isGone; ) {
        isHeard = await this.#call("ack", { group, entries }).then(
          () => true,
          () => delay(ACK_RETRY_MS, false, { signal }),
        );
      }
    } catch (failure) {
      if (!signal.aborted) this.#log.warn("entries of the predecessor are not on record", { failure });
    }
  }

  [Symbol.dispose](): void {
    this.#stop.abort(new DOMException("closing", "AbortError"));
  }
}

/**
 * Opens the audit log, after a predecessor has closed it. The two close in the right order: nothing comes for a log that
 * is closed.
 */
export async function takeOverLog(
  place: Predecessor | undefined,
  {
    life,
    log,
    openAudit,
  }: { readonly life: Lifetime; readonly log: Log; readonly openAudit: () => Promise<GateAudit> },
): Promise<{ readonly audit: GateAudit; readonly predecessor: FollowedPredecessor | undefined }> {
  const predecessor = place === undefined ? undefined : await FollowedPredecessor.open(place, log);
  try {
    await predecessor?.takeLog();
    const audit = life.own(await openAudit());
    return { audit, predecessor: predecessor === undefined ? undefined : life.own(predecessor) };
  } catch (failure) {
    predecessor?.[Symbol.dispose]();
    throw failure;
  }
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
