import type { MetricRow, Samples } from "@gatehouse/kit";
import type { BudgetName } from "./limits/node-budget.ts";
import type { Liveness } from "./nodes/liveness.ts";
import type { Forgotten } from "./reports/forget-reports.ts";

/** What a server's `/metrics` shows. No label names an organisation, a node or a person. */
export const SERVER_METRICS = {
  gatehouse_server_start_time_seconds: { kind: "gauge", say: "When the server started, in Unix seconds." },
  gatehouse_server_resident_memory_bytes: { kind: "gauge", say: "Memory of the server's process." },
  gatehouse_server_calls_total: {
    kind: "counter",
    labels: ["rpc", "outcome"],
    say: "RPCs that were answered, by method and outcome: `ok`, or the problem code. A stream counts when it opens, and again when it fails.",
  },
  gatehouse_server_connections: { kind: "gauge", say: "Connections that are open." },
  gatehouse_server_control_streams: { kind: "gauge", say: "Nodes whose control stream ends here." },
  gatehouse_server_nodes: {
    kind: "gauge",
    labels: ["liveness"],
    say: "Confirmed nodes of all organisations, by what their heartbeats show: `online`, `stale`, `offline`, `never`. As the last sweep found them, like the three below.",
  },
  gatehouse_server_nodes_behind: { kind: "gauge", say: "Confirmed nodes that serve an older bundle than is desired." },
  gatehouse_server_nodes_audit_fault: {
    kind: "gauge",
    say: "Confirmed nodes whose audit log is not the one that they signed.",
  },
  gatehouse_server_nodes_spool_bytes: { kind: "gauge", say: "Telemetry that waits on nodes, as they last said." },
  gatehouse_server_admission_running: { kind: "gauge", say: "Calls of callers not yet known that run." },
  gatehouse_server_admission_waiting: { kind: "gauge", say: "Calls of callers not yet known that wait for a place." },
  gatehouse_server_forgotten_rows_total: {
    kind: "counter",
    labels: ["kind"],
    say: "Rows older than `retention.*` keeps them: `samples` (chunks of up to 512 of one series), `gaps`, `events`, `runs`, `commands`.",
  },
  gatehouse_server_over_budget_total: {
    kind: "counter",
    labels: ["budget"],
    say: "Calls of nodes that were refused because the node has had more than its share: `reports`, or `sessions` (opened, and API keys made).",
  },
  gatehouse_server_sweep_failures_total: {
    kind: "counter",
    say: "Turns of the sweep that failed: what has run out of time stays until one succeeds.",
  },
} as const satisfies Readonly<Record<string, MetricRow>>;

/** What others count; asked when somebody looks. */
export interface ServerFacts {
  readonly connections: number;
  readonly controlStreams: number;
  readonly admissionRunning: number;
  readonly admissionWaiting: number;
}

/** What a sweep found of the nodes of every organisation. */
export interface NodeFigures {
  readonly liveness: Readonly<Record<Liveness | "never", number>>;
  readonly behind: number;
  readonly auditFaults: number;
  readonly spoolBytes: number;
}

export const NO_NODES: NodeFigures = {
  liveness: { online: 0, stale: 0, offline: 0, never: 0 },
  behind: 0,
  auditFaults: 0,
  spoolBytes: 0,
};

/** Counts calls and faults of one server. */
export class ServerCounters {
  readonly #startedAtMs: number;
  readonly #calls = new Map<string, Map<string, number>>();
  #sweepFailures = 0;
  #nodes = NO_NODES;
  readonly #forgotten = new Map<string, number>();
  readonly #overBudget = new Map<BudgetName, number>();

  constructor(startedAtMs: number) {
    this.#startedAtMs = startedAtMs;
  }

  /** `rpc` is a method that exists, `outcome` a code of the table: both are few. */
  countCall(rpc: string, outcome: string): void {
    const outcomes = this.#calls.get(rpc) ?? new Map<string, number>();
    this.#calls.set(rpc, outcomes);
    outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
  }

  countSweepFailure(): void {
    this.#sweepFailures += 1;
  }

  countOverBudget(budget: BudgetName): void {
    this.#overBudget.set(budget, (this.#overBudget.get(budget) ?? 0) + 1);
  }

  countForgotten(forgotten: Forgotten): void {
    for (const [kind, rows] of Object.entries(forgotten)) {
      this.#forgotten.set(kind, (this.#forgotten.get(kind) ?? 0) + rows);
    }
  }

  setNodes(figures: NodeFigures): void {
    this.#nodes = figures;
  }

  samples(facts: ServerFacts): Samples<typeof SERVER_METRICS> {
    const calls = [...this.#calls].flatMap(([rpc, outcomes]) =>
      [...outcomes].map(([outcome, value]) => ({ value, labels: { rpc, outcome } })),
    );
    return {
      gatehouse_server_start_time_seconds: [{ value: Math.floor(this.#startedAtMs / 1_000) }],
      gatehouse_server_resident_memory_bytes: [{ value: process.memoryUsage.rss() }],
      gatehouse_server_calls_total: calls,
      gatehouse_server_connections: [{ value: facts.connections }],
      gatehouse_server_control_streams: [{ value: facts.controlStreams }],
      gatehouse_server_nodes: Object.entries(this.#nodes.liveness).map(([liveness, value]) => ({
        value,
        labels: { liveness },
      })),
      gatehouse_server_nodes_behind: [{ value: this.#nodes.behind }],
      gatehouse_server_nodes_audit_fault: [{ value: this.#nodes.auditFaults }],
      gatehouse_server_nodes_spool_bytes: [{ value: this.#nodes.spoolBytes }],
      gatehouse_server_admission_running: [{ value: facts.admissionRunning }],
      gatehouse_server_admission_waiting: [{ value: facts.admissionWaiting }],
      gatehouse_server_forgotten_rows_total: [...this.#forgotten].map(([kind, value]) => ({
        value,
        labels: { kind },
      })),
      gatehouse_server_over_budget_total: [...this.#overBudget].map(([budget, value]) => ({
        value,
        labels: { budget },
      })),
      gatehouse_server_sweep_failures_total: [{ value: this.#sweepFailures }],
    };
  }
}
