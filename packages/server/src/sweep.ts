import { setTimeout as wait } from "node:timers/promises";
import type { Log } from "@gatehouse/kit";
import { forgetLeftCopies } from "./audit/forget-left-copies.ts";
import type { Bus } from "./bus/bus.ts";
import { expireCommands } from "./commands/expire-commands.ts";
import { expireEnrollments } from "./enrollment/end-enrollment.ts";
import { NO_NODES, type NodeFigures, type ServerCounters } from "./metrics.ts";
import { ageLiveness } from "./nodes/age-liveness.ts";
import type { NodeTally } from "./nodes/node-records.ts";
import { forgetExpiredPeople } from "./people/forget-expired.ts";
import type { Store } from "./store/store.ts";

const SWEEP_EVERY_MS = 5_000;

interface SweepDeps {
  readonly store: Store;
  readonly bus: Bus;
  readonly log: Log;
  readonly counters: Pick<ServerCounters, "countSweepFailure" | "setNodes">;
}

/** Ends what has run out of time, again and again until the signal aborts. A fault is logged; the next turn goes on. */
export async function sweepForever(deps: SweepDeps, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    await wait(SWEEP_EVERY_MS, undefined, { signal });
    await sweepOnce(deps).catch((error: unknown) => {
      deps.counters.countSweepFailure();
      deps.log.error("sweep failed", { error });
    });
  }
}

/** One turn: each organisation in its own transaction. */
async function sweepOnce({ store, bus, counters }: SweepDeps): Promise<void> {
  await store.sweepShared();
  const tallies: NodeTally[] = [];
  for (const orgId of await store.orgIds()) {
    await store.inOrg(orgId, forgetExpiredPeople);
    for (const id of await store.inOrg(orgId, expireEnrollments)) bus.publish({ kind: "enrollment", orgId, id });
    await store.inOrg(orgId, expireCommands);
    if ((await store.inOrg(orgId, ageLiveness)) > 0) bus.publish({ kind: "events", orgId });
    while (await store.inOrg(orgId, forgetLeftCopies));
    tallies.push(...(await store.inOrg(orgId, ({ nodes }) => nodes.tally())));
  }
  counters.setNodes(sumTallies(tallies));
}

function sumTallies(tallies: readonly NodeTally[]): NodeFigures {
  const liveness = { ...NO_NODES.liveness };
  for (const one of tallies) liveness[one.liveness ?? "never"] += one.nodes;
  const sum = (of: (tally: NodeTally) => number) => tallies.reduce((total, one) => total + of(one), 0);
  const [behind, auditFaults] = [sum((one) => one.behind), sum((one) => one.auditFaults)];
  return { liveness, behind, auditFaults, spoolBytes: sum((one) => one.spoolBytes) };
}
