import { Problem } from "@gatehouse/core";
import type { Batch } from "./batch.ts";
import { MAX_GROUP_BYTES, MAX_PAYLOAD_BYTES, MAX_STREAM_BYTES, MAX_STREAM_MS } from "./upload-limits.ts";
import { within } from "./within.ts";

/** A batch as it was decoded, and how much room it takes. */
export interface SizedBatch<Payload> {
  readonly batch: Batch<Payload>;
  readonly bytes: number;
  /** It may take several transactions: none is done twice with it. */
  readonly isAlone?: boolean;
}

/** What is stored in one transaction. */
export interface Piece<Payload> {
  readonly batches: readonly Batch<Payload>[];
  readonly bytes: number;
}

export interface ReadBatches<Payload> {
  /** At least one. */
  readonly pieces: readonly Piece<Payload>[];
  readonly bytes: number;
}

/**
 * Reads a whole stream before anything of it is stored, and cuts it into what is stored at a time. Fails with
 * `uploads.too_much` over the limits in size or time, `api.malformed` where a source's numbers do not grow.
 */
export async function readBatches<Message, Payload>(
  messages: AsyncIterable<Message>,
  decode: (message: Message) => SizedBatch<Payload>,
): Promise<ReadBatches<Payload>> {
  const read: SizedBatch<Payload>[] = [];
  const last = new Map<string, number>();
  let bytes = 0;
  for await (const message of within(messages, MAX_STREAM_MS)) {
    const one = decode(message);
    const { batch, bytes: size } = one;
    bytes += size;
    if (size > MAX_PAYLOAD_BYTES) throw new Problem("uploads.too_much", { detail: "A batch is over 1 MiB." });
    if (bytes > MAX_STREAM_BYTES) throw new Problem("uploads.too_much", { detail: "A stream is over 4 MiB." });
    requireGrowing(batch, last);
    read.push(one);
  }
  return { pieces: cut(read), bytes };
}

function cut<Payload>(read: readonly SizedBatch<Payload>[]): readonly Piece<Payload>[] {
  const pieces: { batches: Batch<Payload>[]; bytes: number; isFull: boolean }[] = [];
  for (const { batch, bytes, isAlone = false } of read) {
    const last = pieces.at(-1);
    if (last === undefined || isAlone || last.isFull || last.bytes + bytes > MAX_GROUP_BYTES) {
      pieces.push({ batches: [batch], bytes, isFull: isAlone });
    } else {
      last.batches.push(batch);
      last.bytes += bytes;
    }
  }
  return pieces.length === 0 ? [{ batches: [], bytes: 0 }] : pieces;
}

function requireGrowing({ source, offset, content }: Batch<unknown>, last: Map<string, number>): void {
  const through = content.kind === "gap" ? content.through : offset;
  if (through < offset || offset <= (last.get(source) ?? -1)) {
    throw new Problem("api.malformed", { detail: `The offsets of ${source} do not grow.` });
  }
  last.set(source, through);
}
