import { SlowDownProblem } from "../limits/slow-down-problem.ts";
import type { Acknowledged, Upload } from "./batch.ts";
import type { Piece } from "./read-batches.ts";
import type { Outcome } from "./store-telemetry.ts";
import { MAX_TURNS, RETRY_UPLOAD_MS } from "./upload-limits.ts";

export interface StorePieces<Payload> {
  /** Stores as much of a piece as one transaction may. */
  readonly write: (upload: Upload<Payload>, bytes: number) => Promise<Outcome<Payload>>;
  /** So many bytes are there, or some of them at least, whatever becomes of what comes after them. */
  readonly onStored: (bytes: number) => void;
}

/**
 * Stores what a node sent, piece by piece; a piece that takes several transactions lets others have their turn between
 * them. Fails with what a piece is refused for, the pieces before it stored; with `server.busy` for one without an end.
 */
export async function storePieces<Payload>(
  { nodeId, pieces }: { readonly nodeId: string; readonly pieces: readonly Piece<Payload>[] },
  { write, onStored }: StorePieces<Payload>,
): Promise<Acknowledged> {
  const acknowledged = new Map<string, number>();
  for (const { batches, bytes } of pieces) {
    const stored = await storeWhole(
      { nodeId, batches },
      { write: (upload) => write(upload, bytes), onBegun: () => onStored(bytes) },
    );
    for (const [source, at] of stored) acknowledged.set(source, at);
  }
  return acknowledged;
}

interface StoreWhole<Payload> {
  readonly write: (upload: Upload<Payload>) => Promise<Outcome<Payload>>;
  /** Some of it is stored. */
  readonly onBegun: () => void;
}

async function storeWhole<Payload>(
  upload: Upload<Payload>,
  { write, onBegun }: StoreWhole<Payload>,
): Promise<Acknowledged> {
  let left = upload;
  for (let turn = 0; turn < MAX_TURNS; turn += 1) {
    const outcome = await write(left);
    if ("refused" in outcome) throw outcome.refused;
    if (turn === 0) onBegun();
    if ("acknowledged" in outcome) return outcome.acknowledged;
    left = outcome.rest;
  }
  throw new SlowDownProblem("server.busy", RETRY_UPLOAD_MS);
}
