import { setTimeout as wait } from "node:timers/promises";
import type { Log } from "@gatehouse/kit";
import type { EventRecords } from "./event-records.ts";
import type { RunRecords } from "./run-records.ts";
import type { SampleRecords } from "./sample-records.ts";
import type { UploadRecords } from "./upload-records.ts";

const DAY_MS = 86_400_000;
const SAMPLES_KEPT_MS = 7 * DAY_MS;
/** Of events, and of runs that have ended. */
const EVENTS_KEPT_MS = 30 * DAY_MS;
const SWEEP_EVERY_MS = 60_000;
/** A transaction deletes no more: others write between. */
const AT_ONCE = 5_000;

interface ForgetTransaction {
  readonly now: () => number;
  readonly uploads: UploadRecords;
  readonly samples: SampleRecords;
  readonly events: EventRecords;
  readonly runs: RunRecords;
}

interface ForgetDeps {
  readonly store: {
    orgIds(): Promise<readonly string[]>;
    inOrg<T>(orgId: string, work: (tx: ForgetTransaction) => Promise<T>): Promise<T>;
  };
  readonly log: Log;
}

/** Forgets samples after 7 days, events and ended runs after 30, again and again until the signal aborts. */
export async function forgetReports({ store, log }: ForgetDeps, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    await wait(SWEEP_EVERY_MS, undefined, { signal });
    for (const orgId of await store.orgIds().catch(() => [])) {
      await forgetOf(orgId, store, signal).catch((error: unknown) => log.error("sweep failed", { orgId, error }));
    }
  }
}

async function forgetOf(orgId: string, store: ForgetDeps["store"], signal: AbortSignal): Promise<void> {
  while (!signal.aborted && (await store.inOrg(orgId, forgetSome)) > 0);
}

/** One transaction's share. Returns whether there may be more: how many rows the fullest table gave. */
export async function forgetSome({ now, uploads, samples, events, runs }: ForgetTransaction): Promise<number> {
  await uploads.removeGapsBefore(now() - SAMPLES_KEPT_MS);
  const removed = [
    await samples.removeBefore(now() - SAMPLES_KEPT_MS, AT_ONCE),
    await events.removeBefore(now() - EVENTS_KEPT_MS, AT_ONCE),
    await runs.removeEndedBefore(now() - EVENTS_KEPT_MS, AT_ONCE),
  ];
  const most = Math.max(...removed);
  return most === AT_ONCE ? most : 0;
}
