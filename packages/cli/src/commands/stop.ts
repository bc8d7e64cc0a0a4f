import { requestUnixOk } from "@gatehouse/kit";
import type { Invocation } from "../invocation.ts";

/** Ends runs: asked first, by force after five seconds. */
export async function stop({ args, socketPath }: Invocation): Promise<number> {
  for (const runId of args) {
    await requestUnixOk({ socketPath, method: "DELETE", path: `/v1/sandboxes/${encodeURIComponent(runId)}` });
  }
  return 0;
}
