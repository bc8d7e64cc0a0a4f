import { canonicalJson, Problem } from "@gatehouse/core";
import { SourceOffsets } from "./accept-batches.ts";
import type { Batch, Upload } from "./batch.ts";
import type { EventRecords, NewEvent } from "./event-records.ts";
import { RefusedBatch } from "./refused-batch.ts";
import type { ReportedRun, RunRecords } from "./run-records.ts";
import { idsOf, newest, type Outcome } from "./store-telemetry.ts";
import { MAX_SNAPSHOT_RUNS } from "./upload-limits.ts";
import type { UploadRecords } from "./upload-records.ts";

export interface EventTransaction {
  readonly now: () => number;
  readonly uploads: UploadRecords;
  readonly runs: RunRecords;
  readonly events: EventRecords;
}

/** A run as a node says it is. */
export type SaidRun = Omit<ReportedRun, "nodeId" | "reportedAt">;

/** One change, or every run that the node knows: what a snapshot does not name is gone. */
export type RunReport =
  | { readonly kind: "run"; readonly run: SaidRun }
  | {
      readonly kind: "snapshot";
      readonly runs: readonly SaidRun[];
      /** Of these, how many are stored already. */
      readonly stored: number;
    };

/** No node has more that have not ended. */
const MAX_LIVE_RUNS = 10_000;

/**
 * Stores what nodes say of their runs in one transaction, and what changed by it as events. A snapshot stands alone in its
 * upload: what of it finds no room is answered, to come again.
 */
export async function storeEvents(
  tx: EventTransaction,
  uploads: readonly Upload<RunReport>[],
): Promise<readonly Outcome<RunReport>[]> {
  const offsets = await SourceOffsets.lock(tx.uploads, "events", idsOf(uploads));
  const outcomes: Outcome<RunReport>[] = [];
  const room = { runs: MAX_SNAPSHOT_RUNS };
  for (const upload of uploads) {
    try {
      outcomes.push(await storeOne(tx, upload, { offsets, room }));
    } catch (refused) {
      if (!(refused instanceof Problem)) throw refused;
      outcomes.push({ refused });
    }
  }
  return outcomes;
}

/** What is left of what a transaction does for snapshots. */
interface Room {
  runs: number;
}

interface Storing {
  readonly offsets: SourceOffsets;
  readonly room: Room;
}

async function storeOne(
  tx: EventTransaction,
  upload: Upload<RunReport>,
  { offsets, room }: Storing,
): Promise<Outcome<RunReport>> {
  await requireOwn(tx.runs, upload);
  const accepted = offsets.accept(upload);
  for (const { payload, batch } of accepted.payloads) {
    const own = { nodeId: upload.nodeId, batch };
    if (payload.kind === "run") await write(tx, own, [payload.run]);
    else {
      const rest = await takeSnapshot(tx, { ...own, snapshot: payload }, room);
      if (rest !== undefined) return { rest: withSnapshot(upload, rest) };
    }
  }
  offsets.take(accepted);
  await tx.uploads.insertGaps(accepted.gaps);
  await tx.uploads.saveOffsets("events", newest(accepted.moved));
  return { acknowledged: accepted.acknowledged };
}

/** Before anything is written: of an upload of changes all counts or nothing. */
async function requireOwn(runs: RunRecords, { nodeId, batches }: Upload<RunReport>): Promise<void> {
  const named = batches.flatMap((batch) =>
    batch.content.kind === "payload" && batch.content.payload.kind === "run"
      ? [{ batch, runId: batch.content.payload.run.runId }]
      : [],
  );
  const known = await runs.find([...new Set(named.map(({ runId }) => runId))]);
  const theirs = new Set(known.filter((run) => run.nodeId !== nodeId).map(({ runId }) => runId));
  const foreign = named.find(({ runId }) => theirs.has(runId));
  if (foreign !== undefined) throw new RefusedBatch("runs.foreign", foreign.batch);
}

type Snapshot = Extract<RunReport, { readonly kind: "snapshot" }>;

function withSnapshot({ nodeId, batches }: Upload<RunReport>, payload: Snapshot): Upload<RunReport> {
  return { nodeId, batches: batches.map((batch) => ({ ...batch, content: { kind: "payload", payload } })) };
}

interface Captured {
  readonly nodeId: string;
  /** In which it came. */
  readonly batch: Pick<Batch<unknown>, "source" | "offset" | "capturedAt">;
}

/** Stores as much of a snapshot as there is room for; `undefined`: that was all of it. */
async function takeSnapshot(
  tx: EventTransaction,
  { snapshot, ...own }: Captured & { readonly snapshot: Snapshot },
  room: Room,
): Promise<Snapshot | undefined> {
  const { runs } = snapshot;
  const stored = Math.min(snapshot.stored + room.runs, runs.length);
  room.runs -= stored - snapshot.stored;
  await write(tx, own, runs.slice(snapshot.stored, stored));
  if (stored < runs.length) return { ...snapshot, stored };
  const named = new Set(runs.map(({ runId }) => runId));
  const live = await tx.runs.liveIds(own.nodeId, MAX_LIVE_RUNS);
  const gone = live.filter((runId) => !named.has(runId));
  const part = gone.slice(0, room.runs);
  room.runs -= part.length;
  const ended = (await tx.runs.find(part)).map(
    (run) => ({ ...run, state: "gone", endedAt: own.batch.capturedAt }) as const,
  );
  await write(tx, own, ended);
  return part.length < gone.length ? { ...snapshot, stored } : undefined;
}

/** Writes what a node says of its runs, and what changed as events. Fails with `runs.foreign`. */
async function write(tx: EventTransaction, { nodeId, batch }: Captured, runs: readonly SaidRun[]): Promise<void> {
  const reportedAt = tx.now();
  const said = lastWords(runs).map((run) => ({ ...run, nodeId, reportedAt }));
  const before = new Map((await tx.runs.find(said.map(({ runId }) => runId))).map((run) => [run.runId, run]));
  if ([...before.values()].some((run) => run.nodeId !== nodeId)) throw new RefusedBatch("runs.foreign", batch);
  await tx.runs.put(said);
  await tx.events.append(said.filter(({ runId, state }) => before.get(runId)?.state !== state).map(eventOf));
}

/** A report that names a run twice means what it says last. */
function lastWords(runs: readonly SaidRun[]): readonly SaidRun[] {
  return [...new Map(runs.map((run) => [run.runId, run])).values()];
}

function eventOf({ runId, nodeId, state, project, agent, driver, isExposed, exitCode }: ReportedRun): NewEvent {
  const own = { agent, driver, exposed: isExposed, project };
  const data = state === "exited" ? { ...own, exit_code: exitCode } : own;
  return { kind: `run.${state}`, nodeId, runId, data: canonicalJson(data) };
}
