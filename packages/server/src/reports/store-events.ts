import { canonicalJson, Problem } from "@gatehouse/core";
import { SourceOffsets } from "./accept-batches.ts";
import type { Upload } from "./batch.ts";
import type { EventRecords, NewEvent } from "./event-records.ts";
import type { ReportedRun, RunRecords } from "./run-records.ts";
import { idsOf, newest, type Outcome } from "./store-telemetry.ts";
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
  | { readonly kind: "snapshot"; readonly runs: readonly SaidRun[] };

/** No node has more that have not ended. */
const MAX_LIVE_RUNS = 10_000;

/** Stores what nodes say of their runs in one transaction, and what changed by it as events. */
export async function storeEvents(
  tx: EventTransaction,
  uploads: readonly Upload<RunReport>[],
): Promise<readonly Outcome[]> {
  const offsets = await SourceOffsets.lock(tx.uploads, "events", idsOf(uploads));
  const outcomes: Outcome[] = [];
  for (const upload of uploads) {
    try {
      await requireOwn(tx.runs, upload);
      const { payloads, gaps, moved, acknowledged } = offsets.accept(upload);
      for (const { payload, capturedAt } of payloads) await apply(tx, upload.nodeId, { report: payload, capturedAt });
      await tx.uploads.insertGaps(gaps);
      await tx.uploads.saveOffsets("events", newest(moved));
      outcomes.push({ acknowledged });
    } catch (refused) {
      if (!(refused instanceof Problem)) throw refused;
      outcomes.push({ refused });
    }
  }
  return outcomes;
}

async function requireOwn(runs: RunRecords, { nodeId, batches }: Upload<RunReport>): Promise<void> {
  const named = batches.flatMap(({ content }) => (content.kind === "payload" ? saidRuns(content.payload) : []));
  const known = await runs.find([...new Set(named.map(({ runId }) => runId))]);
  if (known.some((run) => run.nodeId !== nodeId)) throw new Problem("runs.foreign");
}

function saidRuns(report: RunReport): readonly SaidRun[] {
  return report.kind === "run" ? [report.run] : report.runs;
}

interface Captured {
  readonly report: RunReport;
  readonly capturedAt: number;
}

async function apply(tx: EventTransaction, nodeId: string, { report, capturedAt }: Captured): Promise<void> {
  const reportedAt = tx.now();
  const said = lastWords(saidRuns(report)).map((run) => ({ ...run, nodeId, reportedAt }));
  const before = new Map((await tx.runs.find(said.map(({ runId }) => runId))).map((run) => [run.runId, run]));
  const changed = said.filter(({ runId, state }) => before.get(runId)?.state !== state);
  const gone = report.kind === "run" ? [] : await unnamed(tx.runs, nodeId, new Set(said.map(({ runId }) => runId)));
  const ended = gone.map((run) => ({ ...run, state: "gone", endedAt: capturedAt, reportedAt }) as const);
  await tx.runs.put([...said, ...ended]);
  await tx.events.append([...changed, ...ended].map(eventOf));
}

/** A report that names a run twice means what it says last. */
function lastWords(runs: readonly SaidRun[]): readonly SaidRun[] {
  return [...new Map(runs.map((run) => [run.runId, run])).values()];
}

async function unnamed(runs: RunRecords, nodeId: string, named: ReadonlySet<string>): Promise<readonly ReportedRun[]> {
  const live = await runs.list({ nodeId, includesEnded: false, limit: MAX_LIVE_RUNS });
  return live.filter(({ runId }) => !named.has(runId));
}

function eventOf({ runId, nodeId, state, project, agent, driver, isExposed, exitCode }: ReportedRun): NewEvent {
  const own = { agent, driver, exposed: isExposed, project };
  const data = state === "exited" ? { ...own, exit_code: exitCode } : own;
  return { kind: `run.${state}`, nodeId, runId, data: canonicalJson(data) };
}
