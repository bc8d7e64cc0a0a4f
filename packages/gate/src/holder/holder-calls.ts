import type { Random } from "@gatehouse/core";
import { type FleetParts, fleetCalls } from "../fleet/fleet-calls.ts";
import type { GateCalls, GateStatus } from "./gate-protocol.ts";
import type { Vault } from "./open-vault.ts";
import { startRun } from "./start-run.ts";
import type { WorkerPool } from "./worker-pool.ts";

/** What the daemon may ask of a key-holder that is open. */
export type AnsweredCalls = {
  readonly [M in Exclude<keyof GateCalls, "open">]: (params: GateCalls[M]["params"]) => Promise<GateCalls[M]["result"]>;
};

export interface CallParts extends Vault, FleetParts {
  readonly workers: WorkerPool;
  readonly status: () => GateStatus;
  readonly exposesCredentials: boolean;
  readonly proxyPort: number;
  readonly random: Random;
  readonly onNodeServes: () => void;
}

/** Answers the calls of the daemon, once everything is open. */
export function holderCalls(parts: CallParts): AnsweredCalls {
  const { registry, workers } = parts;
  return {
    ...fleetCalls(parts),
    startRun: (run) => startRun(run, { ...parts, credentials: parts.grants }),
    serveListener: async ({ runId }) => {
      const run = registry.get(runId);
      if (run?.place.kind === "sandbox") await workers.serveListener(run.runId, run.place.keeper);
      return null;
    },
    endRun: async ({ runId }) => {
      await registry.end(runId);
      return null;
    },
    listRuns: async () =>
      registry.list().map(({ runId, place }) => ({
        runId,
        keeper: place.kind === "sandbox" ? place.keeper : undefined,
      })),
    putOnRecord: async (event) => {
      await parts.audit.attempt(event, async () => undefined);
      return null;
    },
    nodeServes: async () => {
      parts.onNodeServes();
      return null;
    },
    status: async () => parts.status(),
    totals: async () => workers.totals(),
  };
}
