import { isUnwritten } from "@gatehouse/core";
import type { Log } from "@gatehouse/kit";
import type { GateLink } from "../daemon/gate-link.ts";
import type { Sandboxes } from "../runs/sandboxes.ts";

export interface StopAllDeps {
  readonly sandboxes: Pick<Sandboxes, "list" | "stop">;
  readonly gate: Pick<GateLink, "call">;
  readonly log: Log;
}

/** By what this host was told: its page, or a command on its socket. */
export type LocalOrigin = "page" | "socket";

export interface StopAllRequest {
  readonly origin: LocalOrigin;
  /** The same key again answers what was done the first time. */
  readonly idempotencyKey: string;
}

/** Runs that were ended, and those that were not: what still runs of them has no credential any more. */
export interface StopAllOutcome {
  readonly stopped: readonly string[];
  readonly failed: readonly string[];
  /** Of those that were ended: what a full disk did not take. A daemon that starts may serve them again. */
  readonly unwritten: readonly string[];
}

const MAX_REMEMBERED = 64;

/**
 * Ends every run of this host at once, those that outside tools registered too, without asking anybody. It is on the
 * node's record, which the server gets when it is there again.
 */
export class StopAll {
  readonly #deps: StopAllDeps;
  readonly #done = new Map<string, Promise<StopAllOutcome>>();

  constructor(deps: StopAllDeps) {
    this.#deps = deps;
  }

  run(request: StopAllRequest): Promise<StopAllOutcome> {
    const known = this.#done.get(request.idempotencyKey);
    if (known !== undefined) return known;
    const done = this.#stop(request);
    const [oldest] = this.#done.keys();
    if (oldest !== undefined && this.#done.size >= MAX_REMEMBERED) this.#done.delete(oldest);
    this.#done.set(request.idempotencyKey, done);
    return done;
  }

  async #stop({ origin, idempotencyKey }: StopAllRequest): Promise<StopAllOutcome> {
    const { sandboxes, gate, log } = this.#deps;
    const own = sandboxes.list().flatMap(({ runId, state }) => (state === "exited" ? [] : [runId]));
    const registered = (await gate.call("listRuns", null)).map(({ runId }) => runId);
    const others = registered.filter((runId) => !own.includes(runId));
    const data = { local_origin: origin, idempotency_key: idempotencyKey };
    // An emergency is not kept waiting by a log that cannot be written.
    await this.#record("node.stop_all", { ...data, runs: own.length + others.length });
    const ended = await Promise.allSettled([
      ...own.map((runId) => sandboxes.stop(runId)),
      ...others.map((runId) => gate.call("endRun", { runId })),
    ]);
    const all = [...own, ...others];
    const unwritten = all.filter((_, at) => isUnwritten(reasonOf(ended[at])));
    const failed = all.filter((runId, at) => ended[at]?.status === "rejected" && !unwritten.includes(runId));
    const stopped = all.filter((runId) => !failed.includes(runId));
    log.warn("every run was stopped from this host", { origin, stopped: stopped.length, failed: failed.length });
    await this.#record("node.stop_all_finished", { ...data, stopped: stopped.length, failed: failed.length });
    return { stopped, failed, unwritten };
  }

  async #record(kind: string, data: Readonly<Record<string, string | number>>): Promise<void> {
    const event = { kind, actor: "local_admin", data };
    await this.#deps.gate.call("putOnRecord", event).catch((failure: unknown) => {
      this.#deps.log.error("stopping every run is not on record", { kind, failure });
    });
  }
}

function reasonOf(settled: PromiseSettledResult<unknown> | undefined): unknown {
  return settled?.status === "rejected" ? settled.reason : undefined;
}
