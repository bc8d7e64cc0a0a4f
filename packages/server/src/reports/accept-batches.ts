import { Problem } from "@gatehouse/core";
import type { Acknowledged, Batch, Upload } from "./batch.ts";
import { MAX_SOURCES } from "./upload-limits.ts";
import type { SourceOffset, UploadGap, UploadRecords, UploadStream } from "./upload-records.ts";

/** What is new of an upload, and what to answer once it is stored. */
export interface Accepted<Payload> {
  readonly nodeId: string;
  readonly payloads: readonly { readonly payload: Payload; readonly batch: Batch<Payload> }[];
  readonly gaps: readonly UploadGap[];
  readonly moved: readonly SourceOffset[];
  readonly acknowledged: Acknowledged;
  /** Where the node's sources go on behind it. */
  readonly next: ReadonlyMap<string, number>;
}

/** Where the sources of the nodes of one transaction stand; the nodes are held until it ends. */
export class SourceOffsets {
  readonly #stream: UploadStream;
  readonly #confirmed: ReadonlySet<string>;
  readonly #next = new Map<string, ReadonlyMap<string, number>>();

  private constructor(stream: UploadStream, confirmed: ReadonlySet<string>, offsets: readonly SourceOffset[]) {
    this.#stream = stream;
    this.#confirmed = confirmed;
    const ofNode = Map.groupBy(offsets, ({ nodeId }) => nodeId);
    for (const [nodeId, own] of ofNode) {
      this.#next.set(nodeId, new Map(own.map(({ source, nextOffset }) => [source, nextOffset])));
    }
  }

  static async lock(uploads: UploadRecords, stream: UploadStream, nodeIds: readonly string[]): Promise<SourceOffsets> {
    const confirmed = await uploads.lockNodes(nodeIds);
    return new SourceOffsets(stream, confirmed, await uploads.offsets(stream, nodeIds));
  }

  /**
   * Finds what continues each source; what was taken before is passed over. Nothing is taken by it. Fails with
   * `uploads.out_of_order` where something between is missing, `uploads.too_much` for too many sources, `auth.refused`
   * for a node that was revoked meanwhile: then nothing of the upload counts.
   */
  accept<Payload>({ nodeId, batches }: Upload<Payload>): Accepted<Payload> {
    if (!this.#confirmed.has(nodeId)) throw new Problem("auth.refused");
    const known = this.#next.get(nodeId) ?? new Map<string, number>();
    const next = new Map(known);
    const payloads: { payload: Payload; batch: Batch<Payload> }[] = [];
    const gaps: UploadGap[] = [];
    for (const batch of batches) {
      const first = next.get(batch.source) ?? 0;
      const last = lastOffset(batch);
      if (last < first) continue;
      const { source, content, capturedAt } = batch;
      if (batch.offset > first) throw new Problem("uploads.out_of_order", { detail: `${source} goes on at ${first}.` });
      next.set(source, last + 1);
      if (content.kind === "payload") payloads.push({ payload: content.payload, batch });
      else
        gaps.push({
          nodeId,
          stream: this.#stream,
          source,
          firstOffset: first,
          throughOffset: last,
          capturedAt,
          ...countsOf(content),
        });
    }
    if (next.size > MAX_SOURCES) throw new Problem("uploads.too_much", { detail: "The node has too many sources." });
    const moved = [...next].filter(([source, offset]) => known.get(source) !== offset);
    const asked = new Set(batches.map(({ source }) => source));
    return {
      nodeId,
      payloads,
      gaps,
      moved: moved.map(([source, nextOffset]) => ({ nodeId, source, nextOffset })),
      acknowledged: acknowledge(next, asked),
      next,
    };
  }

  /** What comes after it in the transaction continues from there. */
  take({ nodeId, next }: Accepted<unknown>): void {
    this.#next.set(nodeId, next);
  }
}

function lastOffset({ offset, content }: Batch<unknown>): number {
  return content.kind === "gap" ? content.through : offset;
}

function countsOf({ batches, bytes }: { readonly batches: number; readonly bytes: number }) {
  return { batches, bytes };
}

/** Of the sources that came; a stream without any asks for all of them. */
function acknowledge(next: ReadonlyMap<string, number>, asked: ReadonlySet<string>): Acknowledged {
  const some = [...next].filter(([source, offset]) => offset > 0 && (asked.size === 0 || asked.has(source)));
  return new Map(some.map(([source, offset]) => [source, offset - 1]));
}
