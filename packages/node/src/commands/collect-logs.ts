import type { CollectLogs } from "@gatehouse/wire";
import { bytesOf, readOutput } from "../runs/read-output.ts";
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
  const limit = maxBytes === 0 ? MAX_BYTES : Math.min(maxBytes, MAX_BYTES);
  const piece = await readOutput(files.directory(keeper), { from: Number(offset), limit });
  const ended = state === "exited" && piece.isAtEnd;
  return { payload: bytesOf(piece), message: JSON.stringify({ offset: piece.offset, ended, code }) };
}
