import type { Clock } from "@gatehouse/core";
import type { Heartbeat } from "@gatehouse/wire";
import type { Bus } from "../../bus/bus.ts";
import { takeHeartbeat } from "../../nodes/take-heartbeat.ts";
import type { Store } from "../../store/store.ts";
import { toSafeNumber } from "../services/safe-number.ts";

export interface HeartbeatDeps {
  readonly store: Store;
  readonly bus: Bus;
  readonly clock: Clock;
}

export interface HeartbeatOf {
  readonly orgId: string;
  readonly nodeId: string;
  /** It came on the node's control stream. */
  readonly isOnStream: boolean;
}

/** Takes a heartbeat, by whichever way it came. `undefined`: there is no such node any more. */
export async function answerHeartbeat(
  { runCount, bundleGeneration }: Heartbeat,
  { orgId, nodeId, isOnStream }: HeartbeatOf,
  { store, bus, clock }: HeartbeatDeps,
) {
  const input = { nodeId, runCount, appliedGeneration: toSafeNumber(bundleGeneration), isOnStream };
  const taken = await store.inOrg(orgId, async (tx) => {
    const before = await takeHeartbeat(tx, input);
    return before && { before, head: await tx.auditLogs.newestHead(orgId) };
  });
  if (taken === undefined) return undefined;
  const { before, head } = taken;
  if (before.liveness !== "online") bus.publish({ kind: "events", orgId });
  return {
    receivedAt: BigInt(clock.now()),
    bundleGeneration: BigInt(before.generation),
    ...(head && { orgAuditHead: { ...head, size: BigInt(head.size), time: BigInt(head.time) } }),
  };
}
