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
    const { credentials_refused: refused, ...facts } = said;
    const known = Object.entries(facts).filter(([, value]) => value !== null);
    for (const [name, value] of known) printLine(`${name.padEnd(19)} ${shown(String(value))}`);
    for (const { name, id, reason } of refused ?? [])
      printLine(`refused credential  ${shown(`${name ?? id}: ${reason}`)}`);
    if (said.state === "alone") printLine("It belongs to no server. To join one: gatehouse node enroll");
  }
  return 0;
}

interface DaemonStatus {
  readonly health: { readonly status: string };
  /** Of a daemon that joins its server. */
  readonly server?: Partial<Uplink>;
}

interface Uplink {
  readonly connected: boolean | null;
  readonly session_expires_at: string | null;
  readonly fresh_for_seconds: number | null;
  readonly bundle_fault: string | null;
  readonly credentials_refused: readonly RefusedCredential[] | null;
}

interface RefusedCredential {
  readonly id: string;
  readonly name: string | null;
  readonly reason: string;
}

const UNKNOWN: Uplink = {
  connected: null,
  session_expires_at: null,
  fresh_for_seconds: null,
  bundle_fault: null,
  credentials_refused: null,
};

async function askDaemon(socketPath: string): Promise<Uplink & { readonly daemon: string | null }> {
  try {
    const { health, server } = (await requestUnixOk({ socketPath, path: "/v1/status" })) as DaemonStatus;
    return { daemon: health.status, ...UNKNOWN, ...server };
  } catch (failure) {
    if (toProblem(failure).code !== "daemon.unreachable") throw failure;
    return { daemon: null, ...UNKNOWN };
  }
}
