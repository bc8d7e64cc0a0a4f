import { Problem, parseRunId } from "@gatehouse/core";
import type { ExecInRun } from "@gatehouse/wire";
import { parseExecRequest } from "../runs/exec-request.ts";
import type { Execs } from "../runs/execs.ts";
import type { RunFiles } from "../runs/run-files.ts";
import type { Sandboxes } from "../runs/sandboxes.ts";
import { sizeOf } from "./size-of.ts";

export interface ExecInRunDeps {
  readonly sandboxes: Pick<Sandboxes, "get">;
  readonly execs: Pick<Execs, "start">;
  readonly files: Pick<RunFiles, "isCommanded">;
  readonly actor: string;
}

/**
 * Runs a command in a run. Only in one that a command started: others may see and reach what the node's configuration
 * keeps from commands. Returns when it runs.
 */
export async function execInRun(asked: ExecInRun, { sandboxes, execs, files, actor }: ExecInRunDeps): Promise<void> {
  const { runId, command, environment: env, workdir, timeoutMs } = asked;
  const terminal = asked.terminal && sizeOf(asked.terminal);
  const request = parseExecRequest({ command, env, workdir, timeout_ms: Number(timeoutMs), terminal });
  const { keeper } = sandboxes.get(parseRunId(runId));
  if (!files.isCommanded(keeper)) {
    throw new Problem("commands.above_ceiling", { detail: "The run was started on the node itself." });
  }
  await execs.start(runId, request, { execId: parseRunId(asked.execId), isHeld: false, actor });
}
