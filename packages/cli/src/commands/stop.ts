import { requestUnixOk } from "@gatehouse/kit";
import { type Invocation, isSet } from "../invocation.ts";
import { printJson } from "../terminal/print.ts";

/** Ends runs: asked first, by force after five seconds. */
export async function stop(invocation: Invocation): Promise<number> {
  const { args, socketPath } = invocation;
  for (const runId of args) {
    await requestUnixOk({ socketPath, method: "DELETE", path: `/v1/sandboxes/${encodeURIComponent(runId)}` });
  }
  if (isSet(invocation, "json")) printJson({ stopped: args });
  return 0;
}
