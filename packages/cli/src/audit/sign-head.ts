import { toProblem } from "@gatehouse/core";
import { requestUnixOk } from "@gatehouse/kit";

/** Lets the daemon cover all that is on record by a head. Without a daemon the log is as its last one left it. */
export async function signHead(socketPath: string): Promise<void> {
  try {
    await requestUnixOk({ socketPath, method: "POST", path: "/v1/audit/head" });
  } catch (failure) {
    if (toProblem(failure).code !== "daemon.unreachable") throw failure;
  }
}
