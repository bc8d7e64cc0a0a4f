import { SourceOffsets } from "./accept-batches.ts";
import type { Acknowledged, Batch, Upload } from "./batch.ts";
import { RefusedBatch } from "./refused-batch.ts";
import type { RunRecords } from "./run-records.ts";
import type { SampleRecords, StoredSample } from "./sample-records.ts";
import type { UploadRecords } from "./upload-records.ts";

export interface TelemetryTransaction {
  readonly now: () => number;
  readonly uploads: UploadRecords;
  readonly samples: SampleRecords;
  readonly runs: RunRecords;
}

export type Samples = readonly Omit<StoredSample, "nodeId">[];

/** What became of one upload of a group: its answer, why nothing of it was stored, or that more of it is to be. */
export type Outcome<Payload> =
  | { readonly acknowledged: Acknowledged }
  | { readonly refused: unknown }
  | { readonly rest: Upload<Payload> };

/** Stores the uploads of many nodes in one transaction. What one of them does wrong costs the others nothing. */
export async function storeTelemetry(
  tx: TelemetryTransaction,
  uploads: readonly Upload<Samples>[],
): Promise<readonly Outcome<Samples>[]> {
  const offsets = await SourceOffsets.lock(tx.uploads, "telemetry", idsOf(uploads));
  const owners = await ownersOf(tx.runs, uploads);
  const now = tx.now();
  const samples: StoredSample[] = [];
  const outcomes = [];
  const accepted = [];
  for (const upload of uploads) {
    try {
      requireOwn(upload, owners);
      const one = offsets.accept(upload);
      offsets.take(one);
      accepted.push(one);
      for (const { payload } of one.payloads) {
        // A clock that runs ahead must not keep samples from being forgotten.
        for (const sample of payload) samples.push({ ...sample, time: Math.min(sample.time, now), nodeId: one.nodeId });
      }
      outcomes.push({ acknowledged: one.acknowledged });
    } catch (refused) {
      outcomes.push({ refused });
    }
  }
  await tx.samples.insert(samples);
  await tx.uploads.insertGaps(accepted.flatMap(({ gaps }) => gaps));
  await tx.uploads.saveOffsets("telemetry", newest(accepted.flatMap(({ moved }) => moved)));
  return outcomes;
}

/** The last word on each source: a statement may touch a row once. */
export function newest<T extends { readonly nodeId: string; readonly source: string }>(
  moved: readonly T[],
): readonly T[] {
  return [...new Map(moved.map((one) => [`${one.nodeId} ${one.source}`, one])).values()];
}

export function idsOf(uploads: readonly { readonly nodeId: string }[]): readonly string[] {
  return [...new Set(uploads.map(({ nodeId }) => nodeId))];
}

async function ownersOf(runs: RunRecords, uploads: readonly Upload<Samples>[]): Promise<ReadonlyMap<string, string>> {
  const named = new Set(uploads.flatMap(({ batches }) => batches.flatMap(runIdsOf)));
  const known = await runs.find([...named]);
  return new Map(known.map(({ runId, nodeId }) => [runId, nodeId]));
}

function requireOwn(upload: Upload<Samples>, owners: ReadonlyMap<string, string>): void {
  const { nodeId, batches } = upload;
  const foreign = batches.find((batch) => runIdsOf(batch).some((runId) => (owners.get(runId) ?? nodeId) !== nodeId));
  if (foreign !== undefined) throw new RefusedBatch("runs.foreign", foreign);
}

function runIdsOf({ content }: Batch<Samples>): readonly string[] {
  if (content.kind === "gap") return [];
  return [...new Set(content.payload.map(({ runId }) => runId))].filter((runId) => runId !== "");
}
