import { open, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { errorCode } from "@gatehouse/kit";
import type { CollectLogs } from "@gatehouse/wire";
import { LOST_FILE, OUTPUT_FILE } from "../keeper/output-log.ts";
import type { RunFiles } from "../runs/run-files.ts";
import type { Sandboxes } from "../runs/sandboxes.ts";
import type { CommandOutcome } from "./command-journal.ts";

const MAX_BYTES = 1_048_576;

/**
 * Reads a piece of what a detached run wrote. The answer's message is JSON: `{offset, ended, code}`, with the place of
 * its first byte, counted from the run's start; what was rotated away is left out.
 */
export async function collectLogs(
  { runId, offset, maxBytes }: CollectLogs,
  { sandboxes, files }: { readonly sandboxes: Sandboxes; readonly files: RunFiles },
): Promise<Partial<CommandOutcome>> {
  const { state, keeper, code = null } = sandboxes.get(runId);
  const directory = files.directory(keeper);
  const pieces = await findPieces(directory);
  const from = Math.max(Number(offset), pieces[0]?.from ?? 0);
  const limit = maxBytes === 0 ? MAX_BYTES : Math.min(maxBytes, MAX_BYTES);
  const piece = pieces.find(({ from: first, bytes }) => from >= first && from < first + bytes);
  const payload = piece === undefined ? new Uint8Array() : await readPiece(piece, { from, limit });
  const last = pieces.at(-1);
  const isAtEnd = from + payload.length >= (last === undefined ? 0 : last.from + last.bytes);
  return { payload, message: JSON.stringify({ offset: from, ended: state === "exited" && isAtEnd, code }) };
}

interface Piece {
  readonly path: string;
  /** Place of its first byte. */
  readonly from: number;
  readonly bytes: number;
}

async function findPieces(directory: string): Promise<readonly Piece[]> {
  const output = join(directory, OUTPUT_FILE);
  const lost = Number(await readFile(join(directory, LOST_FILE), "utf8").catch(() => "0"));
  const older = await sizeOf(`${output}.1`);
  const newer = await sizeOf(output);
  return [
    { path: `${output}.1`, from: lost, bytes: older },
    { path: output, from: lost + older, bytes: newer },
  ];
}

async function readPiece(
  { path, from: first }: Piece,
  { from, limit }: { readonly from: number; readonly limit: number },
): Promise<Uint8Array> {
  const file = await open(path, "r");
  try {
    const buffer = Buffer.alloc(limit);
    const { bytesRead } = await file.read(buffer, 0, limit, from - first);
    return new Uint8Array(buffer.subarray(0, bytesRead));
  } finally {
    await file.close();
  }
}

async function sizeOf(path: string): Promise<number> {
  try {
    return (await stat(path)).size;
  } catch (failure) {
    if (errorCode(failure) === "ENOENT") return 0;
    throw failure;
  }
}
