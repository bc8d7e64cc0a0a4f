import type { GateLink } from "../daemon/gate-link.ts";
import type { NodeSample } from "./reports.ts";

const GATE_TIMEOUT_MS = 2_000;

/** The gate's totals since its start, as samples. Fails while the gate does not answer. */
export async function gateFigures(gate: Pick<GateLink, "call">): Promise<readonly NodeSample[]> {
  const { decisions, bytesIn, bytesOut, connections } = await gate.call("totals", null, GATE_TIMEOUT_MS);
  return [
    { name: "gate.requests_allowed", value: decisions.allowed },
    { name: "gate.requests_denied", value: decisions.denied },
    { name: "gate.requests_failed", value: decisions.failed },
    { name: "gate.bytes_sent", value: bytesIn },
    { name: "gate.bytes_received", value: bytesOut },
    { name: "gate.connections", value: connections },
  ];
}
