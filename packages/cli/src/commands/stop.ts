import { requestUnixOk } from "@gatehouse/kit";
import { type Invocation, isSet } from "../invocation.ts";
import { printJson } from "../terminal/print.ts";

/** Ends runs: asked first, by force after five seconds. */
export async function stop(invocation: Invocation): Promise<number> {
  const { args, socketPath } = invocation;
  const stopped: string[] = [];
  try {
    for (const runId of args) {
      await requestUnixOk({ socketPath, method: "DELETE", path: `/v1/sandboxes/${encodeURIComponent(runId)}` });
      stopped.push(runId);
    }
  } finally {
    if (isSet(invocation, "json")) printJson({ stopped });
  }
  return 0;
}
