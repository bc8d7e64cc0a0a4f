import { toProblem } from "@gatehouse/core";
import { requestUnixOk } from "@gatehouse/kit";
import { describeEnrolledHost } from "@gatehouse/node";
import { type Invocation, isSet } from "../invocation.ts";
import { printJson, printLine, shown } from "../terminal/print.ts";

/** Says which node this host is and how it stands. Asks its own daemon at most; works while that, or the server, is away. */
export async function status({ socketPath, ...invocation }: Invocation): Promise<number> {
  const said = { ...(await describeEnrolledHost(invocation.config.state.dir)), ...(await askDaemon(socketPath)) };
  if (isSet({ socketPath, ...invocation }, "json")) printJson(said);
  else {
    const known = Object.entries(said).filter(([, value]) => value !== null);
    for (const [name, value] of known) printLine(`${name.padEnd(19)} ${shown(String(value))}`);
    if (said.state === "alone") printLine("It belongs to no server. To join one: gatehouse node enroll");
  }
  return 0;
}

interface DaemonStatus {
  readonly health: { readonly status: string };
  /** Of a daemon that joins its server. */
  readonly server?: Readonly<
    Record<"connected" | "session_expires_at" | "fresh_for_seconds" | "bundle_fault", unknown>
  >;
}

async function askDaemon(socketPath: string): Promise<object> {
  const unknown = { connected: null, session_expires_at: null, fresh_for_seconds: null, bundle_fault: null };
  try {
    const { health, server } = (await requestUnixOk({ socketPath, path: "/v1/status" })) as DaemonStatus;
    return { daemon: health.status, ...unknown, ...server };
  } catch (failure) {
    if (toProblem(failure).code !== "daemon.unreachable") throw failure;
    return { daemon: null, ...unknown };
  }
}
