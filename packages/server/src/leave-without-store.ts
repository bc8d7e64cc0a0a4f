import { setTimeout as wait } from "node:timers/promises";
import { type Clock, linkSignals, Problem } from "@gatehouse/core";
import type { Log } from "@gatehouse/kit";

const ASK_EVERY_MS = 4_000;
/** As long as a call waits for a connection of its own: a database that is only busy answers by then. */
const ANSWER_WITHIN_MS = 10_000;
/** So long it may be away without anybody leaving: it may be restarted. */
const AWAY_MS = 8_000;

interface LeaveDeps {
  readonly store: { ping(): Promise<void> };
  readonly streams: { readonly size: number; sendAway(): void };
  readonly log: Log;
  readonly clock: Pick<Clock, "monotonicMs">;
}

/**
 * Sends this server's nodes elsewhere while it does not reach its database, until the signal aborts: it can take no
 * acknowledgement and hand out no command, and another replica may. Where there is none they come back to this one.
 */
export async function leaveWithoutStore({ store, streams, log, clock }: LeaveDeps, signal: AbortSignal): Promise<void> {
  let answeredMs = clock.monotonicMs();
  while (!signal.aborted) {
    await wait(ASK_EVERY_MS, undefined, { signal });
    if (await answers(store, signal)) answeredMs = clock.monotonicMs();
    if (streams.size === 0 || clock.monotonicMs() - answeredMs < AWAY_MS) continue;
    log.warn("database cannot be reached: nodes are sent elsewhere", { nodes: streams.size });
    streams.sendAway();
  }
}

async function answers(store: LeaveDeps["store"], signal: AbortSignal): Promise<boolean> {
  const answered = new AbortController();
  using either = linkSignals(signal, answered.signal);
  const tooLate = wait(ANSWER_WITHIN_MS, undefined, { signal: either.signal }).then(() => {
    throw new Problem("store.unreachable");
  });
  try {
    await Promise.race([store.ping(), tooLate]);
    return true;
  } catch {
    // What it is, the calls report that fail for the same reason.
    return false;
  } finally {
    answered.abort();
  }
}
