import { GATE_DOWN, GATE_METRICS, gateSamples } from "@gatehouse/gate";
import { type MetricRow, renderMetrics, type Samples } from "@gatehouse/kit";
import type { GateLink } from "../daemon/gate-link.ts";
import type { Uplink } from "../uplink/uplink.ts";

/** Every metric of the daemon itself. The reference is generated from this table. */
const NODE_METRICS = {
  gatehouse_node_info: { kind: "gauge", say: "Always 1; the labels say which build runs.", labels: ["commit"] },
  gatehouse_node_start_time_seconds: { kind: "gauge", say: "When the daemon started, in Unix seconds." },
  gatehouse_node_resident_memory_bytes: {
    kind: "gauge",
    say: "Memory of the daemon's own process, without the gate's.",
  },
  gatehouse_node_server_connected: {
    kind: "gauge",
    say: "1 while the control stream to the server is open. This and the next three: of a daemon that joins a server.",
  },
  gatehouse_node_bundle_generation: {
    kind: "gauge",
    say: "Generation of the bundle that is served; 0 before the first.",
  },
  gatehouse_node_fresh_seconds: {
    kind: "gauge",
    say: "So long credentials of the organisation are used without a further word of the server; 0: they are not. Absent while the gate does not answer.",
  },
  gatehouse_node_spool_bytes: { kind: "gauge", say: "Telemetry that waits for the server." },
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
  /** `undefined`: this daemon joins no server, or has not yet. */
  readonly uplink: () => Pick<Uplink, "figures" | "describe"> | undefined;
}

/** The text of `/metrics`. A gate that does not answer leaves its figures out and says so. */
export async function renderNodeMetrics(facts: NodeFacts): Promise<string> {
  const { gate, commit, startedAt, sandboxStates, uplink } = facts;
  const states = new Map<string, number>();
  for (const state of sandboxStates()) states.set(state, (states.get(state) ?? 0) + 1);
  const own: Samples<typeof NODE_METRICS> = {
    gatehouse_node_info: [{ value: 1, labels: { commit } }],
    gatehouse_node_start_time_seconds: [{ value: startedAt / 1000 }],
    gatehouse_node_resident_memory_bytes: [{ value: process.memoryUsage.rss() }],
    ...(await uplinkSamples(uplink())),
    gatehouse_node_sandboxes: [...states].map(([state, value]) => ({ value, labels: { state } })),
  };
  return renderMetrics(METRICS, { ...own, ...(await gateFigures(gate)) });
}

async function uplinkSamples(uplink: ReturnType<NodeFacts["uplink"]>) {
  const { connected, generation, spoolBytes } = uplink?.figures ?? {};
  const fresh = (await uplink?.describe().catch(() => undefined))?.fresh_for_seconds;
  return {
    gatehouse_node_server_connected: sample(connected === undefined ? undefined : Number(connected)),
    gatehouse_node_bundle_generation: sample(generation),
    gatehouse_node_fresh_seconds: sample(fresh),
    gatehouse_node_spool_bytes: sample(spoolBytes),
  };
}

function sample(value: number | undefined) {
  return value === undefined ? [] : [{ value }];
}

async function gateFigures(gate: Pick<GateLink, "call">): Promise<Samples<typeof GATE_METRICS>> {
  try {
    const status = await gate.call("status", null, GATE_TIMEOUT_MS);
    return gateSamples(status, await gate.call("totals", null, GATE_TIMEOUT_MS));
  } catch {
    return GATE_DOWN; // the supervisor logs why, and starts it again
  }
}
