import type { Random } from "@gatehouse/core";
import { type FleetParts, fleetCalls } from "../fleet/fleet-calls.ts";
import type { Changes } from "./changes.ts";
import type { GateCalls, GateStatus } from "./gate-protocol.ts";
import type { Vault } from "./open-vault.ts";
import { startRun } from "./start-run.ts";
import type { WorkerPool } from "./worker-pool.ts";

/** What the daemon may ask of a key-holder that is open. */
export type AnsweredCalls = {
  readonly [M in Exclude<keyof GateCalls, "open">]: (params: GateCalls[M]["params"]) => Promise<GateCalls[M]["result"]>;
};

export interface CallParts extends Vault, FleetParts {
  readonly changes: Changes;
  readonly workers: WorkerPool;
  readonly status: () => GateStatus;
  readonly exposesCredentials: boolean;
  readonly proxyPort: number;
  readonly random: Random;
  readonly onNodeServes: () => void;
}

/**
 * Answers the calls of the daemon, once everything is open. Each is a change, and refused after a hand-over, save those
 * that are named here.
 */
export function holderCalls(parts: CallParts): AnsweredCalls {
  const calls = allCalls(parts);
  const { listRuns, nodeServes, fleetStatus, status, totals } = calls;
  return { ...asChanges(calls, parts.changes), listRuns, nodeServes, fleetStatus, status, totals };
}

function asChanges(calls: AnsweredCalls, changes: Changes): AnsweredCalls {
  const each = Object.entries(calls).map(([name, call]) => {
    return [name, (params: never) => changes.make<unknown>(() => call(params))];
  });
  return Object.fromEntries(each);
}

function allCalls(parts: CallParts): AnsweredCalls {
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
