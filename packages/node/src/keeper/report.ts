import { join } from "node:path";
import { requestUnixOk, writeFileAtomic } from "@gatehouse/kit";
import type { RunEnd } from "../runs/run-files.ts";
import type { Launch } from "./launch-file.ts";

const STARTED_TIMEOUT_MS = 15_000;
const EXITED_TIMEOUT_MS = 3_000;

/** Tells the daemon that the sandbox is built; returns when the gate serves its listener. */
export async function reportStarted({ stateDir, runId }: Launch, pid: number): Promise<void> {
  await requestUnixOk({
    socketPath: join(stateDir, "node.sock"),
    method: "POST",
    path: `/v1/sandboxes/${runId}/started`,
    body: { pid },
    timeoutMs: STARTED_TIMEOUT_MS,
  });
}

/** Tells the daemon that the command ended; leaves a note when the daemon is away. */
export function reportExited({ stateDir, runId, runDir }: Launch, end: RunEnd): Promise<void> {
  return report({ stateDir, path: `/v1/sandboxes/${runId}/exited`, directory: runDir }, end);
}

/** The same of a further command in the run. */
export function reportExecExited(
  { stateDir, runId }: Pick<Launch, "stateDir" | "runId">,
  { execId, directory }: { readonly execId: string; readonly directory: string },
  end: RunEnd,
): Promise<void> {
  return report({ stateDir, path: `/v1/sandboxes/${runId}/execs/${execId}/exited`, directory }, end);
}

interface Told {
  readonly stateDir: string;
  readonly path: string;
  /** Where the note is left. */
  readonly directory: string;
}

async function report({ stateDir, path, directory }: Told, end: RunEnd): Promise<void> {
  const socketPath = join(stateDir, "node.sock");
  try {
    await requestUnixOk({ socketPath, method: "POST", path, body: end, timeoutMs: EXITED_TIMEOUT_MS });
  } catch {
    // Where even that fails, the daemon finds the keeper gone; the command's own code is the caller's all the same.
    await writeFileAtomic(join(directory, "exit.json"), JSON.stringify(end)).catch(() => undefined);
  }
}
