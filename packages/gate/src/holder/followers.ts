import type { RunId } from "@gatehouse/core";
import type { RunPublisher } from "../registry/registry-deps.ts";
import type { RunSnapshot } from "../snapshot/run-snapshot.ts";

/** Who serves under this key-holder's word. Each call resolves when it is followed. */
export interface Follower extends RunPublisher {
  /** Whether the audit log can be written: while it cannot, every request is refused. */
  setAudit(isTaken: boolean): Promise<void>;
  /** Until when the organisation's credentials are used, in seconds since boot. */
  setFreshness(untilSeconds: number): Promise<void>;
}

/** The workers, and those of a daemon before this one. The registry is restored before there are any: nobody is told. */
export class Followers implements Follower {
  all: readonly Follower[] = [];

  put(run: RunSnapshot): Promise<void> {
    return this.#tell((one) => one.put(run));
  }

  drop(runId: RunId): Promise<void> {
    return this.#tell((one) => one.drop(runId));
  }

  setAudit(isTaken: boolean): Promise<void> {
    return this.#tell((one) => one.setAudit(isTaken));
  }

  setFreshness(untilSeconds: number): Promise<void> {
    return this.#tell((one) => one.setFreshness(untilSeconds));
  }

  async #tell(call: (one: Follower) => Promise<void>): Promise<void> {
    await Promise.all(this.all.map(call));
  }
}
