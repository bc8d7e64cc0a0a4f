import { GATE_DOWN, GATE_METRICS, gateSamples } from "@gatehouse/gate";
import { type MetricRow, renderMetrics, type Samples } from "@gatehouse/kit";
import type { GateLink } from "../daemon/gate-link.ts";

/** Every metric of the daemon itself. The reference is generated from this table. */
const NODE_METRICS = {
  gatehouse_node_info: { kind: "gauge", say: "Always 1; the labels say which build runs.", labels: ["commit"] },
  gatehouse_node_start_time_seconds: { kind: "gauge", say: "When the daemon started, in Unix seconds." },
  gatehouse_node_resident_memory_bytes: {
    kind: "gauge",
    say: "Memory of the daemon's own process, without the gate's.",
  },
  gatehouse_node_sandboxes: { kind: "gauge", say: "Sandboxes that the daemon knows, by state.", labels: ["state"] },
} as const satisfies Readonly<Record<string, MetricRow>>;

/** Everything on the node's `/metrics`. */
export const METRICS = { ...NODE_METRICS, ...GATE_METRICS };

/** Whoever scrapes gives up soon; a gate that is being started again is said to be down until then. */
const GATE_TIMEOUT_MS = 2_000;

/** What is known of the daemon and whom it may ask. */
export interface NodeFacts {
  readonly gate: Pick<GateLink, "call">;
  readonly commit: string;
  readonly startedAt: number;
  readonly sandboxStates: () => readonly string[];
}

/** The text of `/metrics`. A gate that does not answer leaves its figures out and says so. */
export async function renderNodeMetrics({ gate, commit, startedAt, sandboxStates }: NodeFacts): Promise<string> {
  const states = new Map<string, number>();
  for (const state of sandboxStates()) states.set(state, (states.get(state) ?? 0) + 1);
  const own: Samples<typeof NODE_METRICS> = {
    gatehouse_node_info: [{ value: 1, labels: { commit } }],
    gatehouse_node_start_time_seconds: [{ value: startedAt / 1000 }],
    gatehouse_node_resident_memory_bytes: [{ value: process.memoryUsage.rss() }],
    gatehouse_node_sandboxes: [...states].map(([state, value]) => ({ value, labels: { state } })),
  };
  return renderMetrics(METRICS, { ...own, ...(await gateFigures(gate)) });
}

async function gateFigures(gate: Pick<GateLink, "call">): Promise<Samples<typeof GATE_METRICS>> {
  try {
    const status = await gate.call("status", null, GATE_TIMEOUT_MS);
    return gateSamples(status, await gate.call("totals", null, GATE_TIMEOUT_MS));
  } catch {
    return GATE_DOWN; // the supervisor logs why, and starts it again
  }
}
