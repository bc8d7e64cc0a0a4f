import { Liveness as WireLiveness, NodeState as WireState } from "@gatehouse/wire";
import { type Liveness, livenessOf } from "../../nodes/liveness.ts";
import type { Node, NodeState } from "../../nodes/node-records.ts";

const STATES = {
  pending: WireState.PENDING,
  confirmed: WireState.CONFIRMED,
  revoked: WireState.REVOKED,
} as const satisfies Readonly<Record<NodeState, WireState>>;

const LIVENESS = {
  online: WireLiveness.ONLINE,
  stale: WireLiveness.STALE,
  offline: WireLiveness.OFFLINE,
} as const satisfies Readonly<Record<Liveness, WireLiveness>>;

/** A node as operators see it. */
export function describeNode(node: Node, nowMs: number) {
  const { id, name, state, labels, isCordoned, runCount, softwareVersion, quarantineReason } = node;
  const liveness = livenessOf(node.lastSeenAt, nowMs);
  return {
    id,
    // What waits to take a name over is shown under that name.
    name: name.split("~")[0] ?? name,
    state: STATES[state],
    liveness: liveness === undefined ? WireLiveness.UNSPECIFIED : LIVENESS[liveness],
    labels: { ...labels },
    cordoned: isCordoned,
    generation: BigInt(node.generation),
    appliedGeneration: BigInt(node.appliedGeneration),
    lastSeenAt: BigInt(node.lastSeenAt ?? 0),
    createdAt: BigInt(node.createdAt),
    softwareVersion,
    runCount,
    quarantineReason: quarantineReason ?? "",
    isConnected: node.streamId !== undefined && (node.connectedUntil ?? 0) > nowMs,
  };
}

/** The filter's state; UNSPECIFIED asks for all. */
export function toNodeState(wire: WireState): NodeState | undefined {
  return (Object.keys(STATES) as NodeState[]).find((state) => STATES[state] === wire);
}
