import { linkSignals, Problem } from "@gatehouse/core";
import type { EventRecords, StoredEvent } from "./event-records.ts";

export interface WatchDeps {
  /** Runs work in a transaction of the watcher's organisation. */
  readonly inOrg: <T>(work: (tx: { readonly events: EventRecords }) => Promise<T>) => Promise<T>;
  /** Settles at the next change, or when the signal aborts. */
  readonly nextChange: (signal: AbortSignal) => Promise<void>;
}

const PAGE = 500;

/**
 * What happened behind a cursor, then what happens, until the signal aborts; from 0, what happens from now on. Read a
 * page at a time as the watcher takes it: one that is slow holds nothing. Fails with `api.malformed` for a cursor that
 * the organisation has not reached, whoever's it may be.
 */
export async function* watchEvents(
  cursor: number,
  { inOrg, nextChange }: WatchDeps,
  signal: AbortSignal,
): AsyncGenerator<StoredEvent> {
  const newest = await inOrg(({ events }) => events.newestCursor());
  if (cursor > newest) throw new Problem("api.malformed", { detail: "No event has that cursor yet." });
  for (let seen = cursor === 0 ? newest : cursor; !signal.aborted; ) {
    const after = seen;
    const stop = new AbortController();
    using linked = linkSignals(signal, stop.signal);
    try {
      // Asked before reading, so that no change falls between.
      const changed = nextChange(linked.signal);
      const page = await inOrg(({ events }) => events.after(after, PAGE));
      for (const event of page) {
        yield event;
        seen = event.cursor;
      }
      if (page.length === 0) await changed;
    } finally {
      stop.abort();
    }
  }
}
