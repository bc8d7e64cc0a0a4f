import type { Clock } from "@gatehouse/core";
import { SlowDownProblem } from "../limits/slow-down-problem.ts";
import { RETRY_UPLOAD_MS } from "../reports/upload-limits.ts";

export interface CopyBounds {
  readonly ofOrg: number;
  readonly inAll: number;
}

/** A stream that is read; its signal aborts when its place is another's. */
interface Place extends Disposable {
  readonly signal: AbortSignal;
}

interface Taken {
  readonly orgId: string;
  readonly nodeId: string;
  readonly sinceMs: number;
  readonly end: AbortController;
}

/** Who has stood so long has had a turn: an organisation without any place gets it. */
const TURN_MS = 10_000;
/** Nodes that were refused come again sooner; who does not gives the turn up. */
const WAITS_MS = 3 * RETRY_UPLOAD_MS;

/**
 * Places of copies of audit logs, each of which may hold what no head covers yet: one of a node, and fair shares of
 * organisations. When all are taken, whoever has two fewer than another gets one of theirs, the longest standing;
 * whoever has none waits for a turn, which nobody takes before them.
 */
export class CopyPlaces {
  readonly #bounds: CopyBounds;
  readonly #clock: Pick<Clock, "monotonicMs">;
  readonly #taken = new Set<Taken>();
  /** Organisations that were refused and have no place, by when they are no longer expected. */
  readonly #waiting = new Map<string, number>();

  constructor(bounds: CopyBounds, clock: Pick<Clock, "monotonicMs">) {
    this.#bounds = bounds;
    this.#clock = clock;
  }

  /** Takes a place until it is disposed of. Fails with `server.busy`. */
  take({ orgId, nodeId }: { readonly orgId: string; readonly nodeId: string }): Place {
    const own = this.#of(orgId);
    const isRoom = this.#bounds.inAll - this.#taken.size > this.#ahead(orgId);
    const mayHave = own.length < this.#bounds.ofOrg && own.every((one) => one.nodeId !== nodeId);
    if (!mayHave || !(isRoom || this.#takeFrom(own.length))) {
      if (own.length === 0) this.#waiting.set(orgId, this.#clock.monotonicMs() + WAITS_MS);
      throw new SlowDownProblem("server.busy", RETRY_UPLOAD_MS);
    }
    this.#waiting.delete(orgId);
    const taken = { orgId, nodeId, sinceMs: this.#clock.monotonicMs(), end: new AbortController() };
    this.#taken.add(taken);
    return { signal: taken.end.signal, [Symbol.dispose]: () => void this.#taken.delete(taken) };
  }

  #of(orgId: string): readonly Taken[] {
    return [...this.#taken].filter((one) => one.orgId === orgId);
  }

  /** Organisations that waited before this one came. */
  #ahead(orgId: string): number {
    const now = this.#clock.monotonicMs();
    for (const [one, until] of this.#waiting) if (until < now) this.#waiting.delete(one);
    const before = [...this.#waiting.keys()];
    const at = before.indexOf(orgId);
    return at < 0 ? before.length : at;
  }

  /** Ends a stream for somebody who has so many; false when nobody has too much. */
  #takeFrom(own: number): boolean {
    const all = [...this.#taken];
    const shares = Map.groupBy(all, (one) => one.orgId);
    const rich = all.find(({ orgId }) => (shares.get(orgId)?.length ?? 0) > own + 1);
    const now = this.#clock.monotonicMs();
    const had = own === 0 ? all.find(({ sinceMs }) => now - sinceMs >= TURN_MS) : undefined;
    const ended = rich ?? had;
    if (ended === undefined) return false;
    this.#taken.delete(ended);
    ended.end.abort();
    return true;
  }
}
