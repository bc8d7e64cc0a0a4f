import { Problem } from "@gatehouse/core";
import type { Explanation } from "@gatehouse/gate";
import { requestUnixOk } from "@gatehouse/kit";
import type { Invocation } from "../invocation.ts";
import { note, shown } from "../terminal/print.ts";

/** A request that the daemon is asked about. */
export interface AskedOfDaemon {
  readonly method: string;
  readonly url: string;
  /** Looks the host up, too. */
  readonly resolve: boolean;
}

/** `run_ended`: what is said is not of a run that goes on. */
type ExplainedRun = Explanation & { readonly run_ended?: true };

/**
 * What the gate does with a request of a run. Of one that has ended: by the policy that it had, with those of its grants
 * that are still there. Fails with `runs.not_found`.
 */
export async function explainRun(invocation: Invocation, runId: string, asked: AskedOfDaemon): Promise<ExplainedRun> {
  try {
    return await askDaemon(invocation, { ...asked, run_id: runId });
  } catch (failure) {
    if (!(failure instanceof Problem) || failure.code !== "runs.not_found") throw failure;
    const { policy, grants } = await findEnded(invocation, runId);
    const known = (await read(invocation, "/v1/grants")) as readonly { readonly name: string }[];
    const kept = grants.filter((name) => known.some((one) => one.name === name));
    note(`${shown(runId)} has ended: this is what its policy says, with its grants as they are now`);
    const gone = grants.filter((name) => !kept.includes(name));
    if (gone.length > 0) note(`taken back since: ${gone.join(", ")}`);
    return { ...(await askDaemon(invocation, { ...asked, policy, grants: kept })), run_ended: true };
  }
}

/** Asks about a run (`run_id`), or one that would be started with `policy` and `grants`. */
export async function askDaemon({ socketPath }: Invocation, body: object): Promise<Explanation> {
  return (await requestUnixOk({ socketPath, method: "POST", path: "/v1/policy/explain", body })) as Explanation;
}

interface EndedRun {
  readonly policy: unknown;
  readonly grants: readonly string[];
}

async function findEnded(invocation: Invocation, runId: string): Promise<EndedRun> {
  const runs = (await read(invocation, "/v1/sandboxes")) as readonly { readonly run_id: string }[];
  const isKept = runs.some((one) => one.run_id === runId);
  const found = isKept ? ((await read(invocation, `/v1/sandboxes/${runId}`)) as Partial<EndedRun>) : undefined;
  if (found?.policy !== undefined) return { policy: found.policy, grants: found.grants ?? [] };
  throw new Problem("runs.not_found", {
    detail:
      "If it ended in the foreground, it left no policy: give the one that it had, --policy FILE, and its --grant.",
  });
}

function read({ socketPath }: Invocation, path: string): Promise<unknown> {
  return requestUnixOk({ socketPath, method: "GET", path });
}
