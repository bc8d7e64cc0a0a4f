import { create } from "@bufbuild/protobuf";
import { lastHeadOf } from "@gatehouse/kit";
import { type Heartbeat, Heartbeat_Health, HeartbeatSchema } from "@gatehouse/wire";

export interface HeartbeatParts {
  readonly auditFolder: string;
  readonly runCount: () => number;
  /** Bytes that wait for the server. */
  readonly spoolDepth: () => number;
  readonly fleet: { readonly generation: number };
}

/** A sign of life. What the daemon cannot do shows in its own health; that it speaks at all is what counts here. */
export async function makeHeartbeat({ auditFolder, runCount, spoolDepth, fleet }: HeartbeatParts): Promise<Heartbeat> {
  // A log that cannot be read keeps no node from being alive; copying it says what is wrong with it.
  const head = await lastHeadOf(auditFolder).catch(() => undefined);
  return create(HeartbeatSchema, {
    sentAt: BigInt(Date.now()),
    health: Heartbeat_Health.OK,
    runCount: runCount(),
    spoolDepth: BigInt(spoolDepth()),
    bundleGeneration: BigInt(fleet.generation),
    ...(head && { auditHead: { ...head, size: BigInt(head.size), time: BigInt(head.time) } }),
  });
}
