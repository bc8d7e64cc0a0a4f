import { access } from "node:fs/promises";
import { join } from "node:path";
import { Problem, parseRunId } from "@gatehouse/core";
import { readDaemonLock, requestUnixOk } from "@gatehouse/kit";
import type { Run } from "@gatehouse/wire";
import type { Invocation } from "../invocation.ts";
import { commandNode } from "./command-node.ts";
import { isOperators } from "./is-operators.ts";
import type { Operator } from "./open-operator.ts";

/** Whether runs are looked for at a server: the state directory is an operator's and no daemon serves it. */
async function looksAtFleet(stateDir: string): Promise<boolean> {
  if ((await readDaemonLock(stateDir)) !== undefined) return false;
  return access(join(stateDir, "operator", "server.json")).then(
    () => true,
    () => false,
  );
}

/** Whether a run is one of another node: an operator's daemon, if there is one, does not know it. */
export async function isElsewhere({ config, socketPath }: Invocation, runId: string): Promise<boolean> {
  if (!isOperators({ config })) return false;
  if (await looksAtFleet(config.state.dir)) return true;
  try {
    await requestUnixOk({ socketPath, path: `/v1/sandboxes/${encodeURIComponent(runId)}` });
    return false;
  } catch (failure) {
    if (failure instanceof Problem && failure.code === "runs.not_found") return true;
    throw failure;
  }
}

/** Which node has a run. Fails with `runs.not_found`. */
export async function findRun({ nodes }: Pick<Operator, "nodes">, runId: string): Promise<Run> {
  const { runs } = await nodes.listRuns({ includeExited: true, runId: parseRunId(runId) });
  const found = runs.find((run) => run.runId === runId);
  if (found === undefined) throw new Problem("runs.not_found");
  return found;
}

/** Ends a run on its node; answers the code of one that had ended before. */
export async function stopFleetRun(operator: Pick<Operator, "nodes">, runId: string): Promise<number | undefined> {
  const { nodeId, state, exitCode } = await findRun(operator, runId);
  if (state === "exited") return exitCode;
  await commandNode(operator, nodeId, { kind: { case: "stopRun", value: { runId } } });
  return undefined;
}

export interface FollowOptions {
  readonly nodeId: string;
  readonly runId: string;
  /** Begins here; default: where the run began. */
  readonly from?: number;
  /** Goes on until the run ends. */
  readonly follows: boolean;
  readonly write: (bytes: Uint8Array) => Promise<void>;
}

const FIRST_PAUSE_MS = 250;
const LONGEST_PAUSE_MS = 2_000;

/** Writes what a run wrote, piece by piece. Answers its exit code; `null` while it runs. */
export async function followFleetRun(
  operator: Pick<Operator, "nodes">,
  { nodeId, runId, from = 0, follows, write }: FollowOptions,
): Promise<number | null> {
  let offset = from;
  let pauseMs = FIRST_PAUSE_MS;
  for (;;) {
    const value = { runId, offset: BigInt(offset), maxBytes: 0 };
    const { payload, message } = await commandNode(operator, nodeId, { kind: { case: "collectLogs", value } });
    const place = JSON.parse(message) as {
      readonly offset: number;
      readonly ended: boolean;
      readonly code: number | null;
    };
    await write(payload);
    offset = place.offset + payload.length;
    if (place.ended) return place.code;
    if (payload.length > 0) {
      pauseMs = FIRST_PAUSE_MS;
      continue;
    }
    if (!follows) return null;
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
    pauseMs = Math.min(pauseMs * 2, LONGEST_PAUSE_MS);
  }
}
