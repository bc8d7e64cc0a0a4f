import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { type CountersignedHeadSchema, type Heartbeat, Heartbeat_Health, HeartbeatSchema } from "@gatehouse/wire";
import type { FleetStatus } from "./fleet-courier.ts";
import type { OwnHead } from "./head-witness.ts";

const MAX_REFUSED = 64;
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

export interface HeartbeatParts {
  readonly runCount: () => number;
  /** Whether all of this node does what it should. */
  readonly isWell: () => Promise<boolean>;
  /** Bytes that wait for the server. */
  readonly spoolDepth: () => number;
  readonly fleet: { readonly generation: number; readonly refused: FleetStatus["refused"] };
  readonly witness: {
    readonly countersigned: MessageInitShape<typeof CountersignedHeadSchema> | undefined;
    own(): Promise<OwnHead | undefined>;
  };
}

/** A sign of life, and what the server is to know of this node. */
export async function makeHeartbeat(parts: HeartbeatParts): Promise<Heartbeat> {
  const { runCount, isWell, spoolDepth, fleet, witness } = parts;
  const [own, health] = [await witness.own(), (await isWell()) ? Heartbeat_Health.OK : Heartbeat_Health.DEGRADED];
  const { countersigned } = witness;
  return create(HeartbeatSchema, {
    sentAt: BigInt(Date.now()),
    health,
    runCount: runCount(),
    spoolDepth: BigInt(spoolDepth()),
    bundleGeneration: BigInt(fleet.generation),
    refusedCredentials: tellRefused(fleet.refused),
    ...(own && {
      auditHead: { ...own.head, size: BigInt(own.head.size), time: BigInt(own.head.time) },
      auditLog: own.log,
    }),
    ...(countersigned && { orgHeadSeen: countersigned }),
  });
}

/** An id that is none would be the server's own; the server takes no heartbeat with one. */
function tellRefused(refused: FleetStatus["refused"]) {
  const known = refused.filter(({ id }) => UUID.test(id)).slice(0, MAX_REFUSED);
  return known.map(({ id, name, code }) => ({ id, name: name ?? "", problemCode: code }));
}
