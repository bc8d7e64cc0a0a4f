import { makeUuid, Problem, systemClock, systemRandom } from "@gatehouse/core";
import { requestUnixOk } from "@gatehouse/kit";
import { type Invocation, isSet } from "../invocation.ts";
import { isElsewhere, stopFleetRun } from "../operator/fleet-runs.ts";
import { asOperator } from "../operator/open-operator.ts";
import { printJson, printLine } from "../terminal/print.ts";

/** Ends runs: asked first, by force after five seconds. With `--all`, every run of this host. */
export async function stop(invocation: Invocation): Promise<number> {
  const { args, config, socketPath } = invocation;
  if ((args.length === 0) !== isSet(invocation, "all")) {
    throw new Problem("usage.invalid", { detail: "Name runs, or give --all for every run of this host." });
  }
  if (isSet(invocation, "all")) return stopAll(invocation);
  const stopped: string[] = [];
  try {
    for (const runId of args) {
      if (await isElsewhere(invocation, runId))
        await asOperator(config.state.dir, (operator) => stopFleetRun(operator, runId));
      else await requestUnixOk({ socketPath, method: "DELETE", path: `/v1/sandboxes/${encodeURIComponent(runId)}` });
      stopped.push(runId);
      if (!isSet(invocation, "json")) printLine(`Stopped ${runId}.`);
    }
  } finally {
    if (isSet(invocation, "json")) printJson({ stopped });
  }
  return 0;
}

/** Asks no server: it works while that is away. Ends with 1 when a run was not stopped. */
async function stopAll(invocation: Invocation): Promise<number> {
  const body = { idempotency_key: makeUuid(systemClock.now(), systemRandom) };
  const call = { socketPath: invocation.socketPath, method: "POST", path: "/v1/stop-all", body } as const;
  const outcome = (await requestUnixOk({ ...call, timeoutMs: STOP_ALL_MS })) as {
    readonly stopped: readonly string[];
    readonly failed: readonly string[];
  };
  if (isSet(invocation, "json")) printJson(outcome);
  else printLine(`Stopped ${outcome.stopped.length} runs.`);
  if (outcome.failed.length > 0 && !isSet(invocation, "json")) printLine(`Not stopped: ${outcome.failed.join(", ")}.`);
  return outcome.failed.length === 0 ? 0 : 1;
}

/** Each run has five seconds before it is ended by force. */
const STOP_ALL_MS = 60_000;
