import { requestUnixOk } from "@gatehouse/kit";
import { type Invocation, isSet } from "../invocation.ts";
import { looksAtFleet, stopFleetRun } from "../operator/fleet-runs.ts";
import { asOperator } from "../operator/open-operator.ts";
import { printJson } from "../terminal/print.ts";

/** Ends runs: asked first, by force after five seconds. */
export async function stop(invocation: Invocation): Promise<number> {
  const { args, config, socketPath } = invocation;
  const stopped: string[] = [];
  try {
    const isRemote = await looksAtFleet(config.state.dir);
    for (const runId of args) {
      if (isRemote) await asOperator(config.state.dir, (operator) => stopFleetRun(operator, runId));
      else await requestUnixOk({ socketPath, method: "DELETE", path: `/v1/sandboxes/${encodeURIComponent(runId)}` });
      stopped.push(runId);
    }
  } finally {
    if (isSet(invocation, "json")) printJson({ stopped });
  }
  return 0;
}
