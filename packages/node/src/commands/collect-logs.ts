import type { CollectLogs } from "@gatehouse/wire";
import { bytesOf, readOutput } from "../runs/read-output.ts";
import type { FindStreamed } from "../runs/streamed.ts";
import type { CommandOutcome } from "./command-journal.ts";

const MAX_BYTES = 1_048_576;

/**
 * Reads a piece of what a detached run wrote. The answer's message is JSON: `{offset, ended, code}`, with the place of
 * its first byte, counted from the run's start; what was rotated away is left out.
 */
export async function collectLogs(
  { runId, offset, maxBytes }: CollectLogs,
  streamed: FindStreamed,
): Promise<Partial<CommandOutcome>> {
  const { directory, code } = streamed(runId);
  const exit = code();
  const limit = maxBytes === 0 ? MAX_BYTES : Math.min(maxBytes, MAX_BYTES);
  const piece = await readOutput(directory, { from: Number(offset), limit });
  const ended = exit !== undefined && piece.isAtEnd;
  return { payload: bytesOf(piece), message: JSON.stringify({ offset: piece.offset, ended, code: exit ?? null }) };
}
