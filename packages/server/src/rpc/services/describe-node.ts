import { NodeHealth as WireHealth, Liveness as WireLiveness, NodeState as WireState } from "@gatehouse/wire";
import type { AuditLogRecords } from "../../audit/audit-log-records.ts";
import type { WitnessRecords } from "../../audit/witness-records.ts";
import { type Liveness, livenessOf } from "../../nodes/liveness.ts";
import type { Node, NodeHealth, NodeState } from "../../nodes/node-records.ts";

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

const HEALTH = {
  ok: WireHealth.OK,
  degraded: WireHealth.DEGRADED,
} as const satisfies Readonly<Record<NodeHealth, WireHealth>>;

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
    health: node.health === undefined ? WireHealth.UNSPECIFIED : HEALTH[node.health],
    spoolDepth: BigInt(node.spoolDepth),
    appliedAt: BigInt(node.appliedAt ?? 0),
    auditFault: node.auditFault ?? "",
    refusedCredentials: node.refusedCredentials.map(({ id, name, code }) => ({ id, name, problemCode: code })),
    isConnected: node.streamId !== undefined && (node.connectedUntil ?? 0) > nowMs,
  };
}

/** The filter's state; UNSPECIFIED asks for all. */
export function toNodeState(wire: WireState): NodeState | undefined {
  return (Object.keys(STATES) as NodeState[]).find((state) => STATES[state] === wire);
}

interface WitnessTransaction {
  readonly auditLogs: Pick<AuditLogRecords, "find">;
  readonly witnesses: Pick<WitnessRecords, "listOfNode">;
}

/** How far a node's audit log was witnessed and copied; nothing before the node said where it stands. */
export async function describeWitnessed({ auditLogs, witnesses }: WitnessTransaction, nodeId: string) {
  const kept = await witnesses.listOfNode(nodeId);
  const own = kept.find(({ subject }) => subject === "node");
  if (own === undefined) return {};
  const { log, size, root, time, signature } = own;
  const audit = {
    ...{ log, root, signature, size: BigInt(size), time: BigInt(time) },
    copiedSize: BigInt((await auditLogs.find(nodeId))?.tree.size ?? 0),
    countersignedSize: BigInt(kept.find(({ subject }) => subject === "org")?.size ?? 0),
  };
  return { audit };
}
