import { setTimeout as wait } from "node:timers/promises";
import type { Log } from "@gatehouse/kit";
import type { CommandRecords } from "../commands/command-records.ts";
import type { EventRecords } from "./event-records.ts";
import type { RunRecords } from "./run-records.ts";
import type { SampleRecords } from "./sample-records.ts";
import type { UploadRecords } from "./upload-records.ts";

/** How long a server keeps what it could forget. The audit log is none of it. */
export interface Retention {
  readonly telemetryDays: number;
  /** Of events, and of runs that have ended. */
  readonly eventsDays: number;
  /** Of commands that have ended. */
  readonly commandsDays: number;
}

/** Rows of each kind. */
export type Forgotten = Readonly<Record<"samples" | "gaps" | "events" | "runs" | "commands", number>>;

const DAY_MS = 86_400_000;
const SWEEP_EVERY_MS = 60_000;
/** A transaction deletes no more of a kind: others write between. */
const AT_ONCE = 1_000;

interface ForgetTransaction {
  readonly now: () => number;
  readonly uploads: UploadRecords;
  readonly samples: SampleRecords;
  readonly events: EventRecords;
  readonly runs: RunRecords;
  readonly commands: CommandRecords;
}

interface ForgetDeps {
  readonly store: {
    orgIds(): Promise<readonly string[]>;
    inOrg<T>(orgId: string, work: (tx: ForgetTransaction) => Promise<T>): Promise<T>;
  };
  readonly retention: Retention;
  readonly counters: { countForgotten(forgotten: Forgotten): void };
  readonly log: Log;
}

/** Forgets what is older than is kept, again and again until the signal aborts. */
export async function forgetReports(deps: ForgetDeps, signal: AbortSignal): Promise<void> {
  const { store, log } = deps;
  while (!signal.aborted) {
    await wait(SWEEP_EVERY_MS, undefined, { signal });
    for (const orgId of await store.orgIds().catch(() => [])) {
      await forgetOf(orgId, deps, signal).catch((error: unknown) => log.error("sweep failed", { orgId, error }));
    }
  }
}

/** All that is too old of one organisation, a transaction after the other. */
export async function forgetOf(
  orgId: string,
  { store, retention, counters }: Omit<ForgetDeps, "log">,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    const forgotten = await store.inOrg(orgId, (tx) => forgetSome(tx, retention));
    counters.countForgotten(forgotten);
    if (Math.max(...Object.values(forgotten)) < AT_ONCE) return;
  }
}

/** One transaction's share. */
async function forgetSome(tx: ForgetTransaction, retention: Retention): Promise<Forgotten> {
  const { uploads, samples, events, runs, commands } = tx;
  const before = (days: number) => tx.now() - days * DAY_MS;
  const { telemetryDays, eventsDays, commandsDays } = retention;
  return {
    samples: await samples.removeBefore(before(telemetryDays), AT_ONCE),
    gaps: await uploads.removeGapsBefore(before(telemetryDays), AT_ONCE),
    events: await events.removeBefore(before(eventsDays), AT_ONCE),
    runs: await runs.removeEndedBefore(before(eventsDays), AT_ONCE),
    commands: await commands.removeEndedBefore(before(commandsDays), AT_ONCE),
  };
}
