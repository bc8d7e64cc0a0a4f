import { isDeepStrictEqual } from "node:util";
import { canonicalJson } from "@gatehouse/core";
import type { EventRecords } from "../reports/event-records.ts";
import type { Liveness } from "./liveness.ts";
import type { Node, NodeHealth, NodeRecords, RefusedCredential } from "./node-records.ts";

export interface HeartbeatTransaction {
  readonly now: () => number;
  readonly nodes: NodeRecords;
  readonly events: Pick<EventRecords, "append">;
}

export interface HeartbeatInput {
  readonly nodeId: string;
  readonly runCount: number;
  readonly appliedGeneration: number;
  readonly health: NodeHealth;
  /** Bytes of telemetry that wait on the node. */
  readonly spoolDepth: number;
  readonly refusedCredentials: readonly RefusedCredential[];
  /** It came on the node's control stream. */
  readonly isOnStream: boolean;
}

/** How long a stream counts as open after its node's last word: longer than two heartbeats. */
export const CONNECTED_FOR_MS = 75_000;

/** Takes a sign of life. `undefined`: there is no such node any more. */
export async function takeHeartbeat(tx: HeartbeatTransaction, input: HeartbeatInput): Promise<Node | undefined> {
  const { nodeId, isOnStream, refusedCredentials: refused, ...said } = input;
  const node = await tx.nodes.find(nodeId);
  if (node === undefined) return undefined;
  const lastSeenAt = tx.now();
  const connected = isOnStream ? { connectedUntil: lastSeenAt + CONNECTED_FOR_MS } : {};
  const isNewlyApplied = node.appliedAt === undefined || said.appliedGeneration !== node.appliedGeneration;
  const applied = isNewlyApplied ? { appliedAt: lastSeenAt } : {};
  await tx.nodes.update(nodeId, { lastSeenAt, liveness: "online", ...said, ...connected, ...applied });
  await reportLiveness(tx, node, "online");
  if (!isDeepStrictEqual(refused, node.refusedCredentials)) await reportRefused(tx, node, refused);
  return node;
}

/** Which credentials a node refuses is an event when it changes. */
async function reportRefused(
  tx: HeartbeatTransaction,
  node: Node,
  refused: readonly RefusedCredential[],
): Promise<void> {
  await tx.nodes.update(node.id, { refusedCredentials: refused });
  const credentials = refused.map(({ id, name, code }) => ({ id, name, code }));
  const data = canonicalJson({ name: node.name, credentials });
  await tx.events.append([{ kind: "node.credentials_refused", nodeId: node.id, data }]);
}

/** A liveness that is another than the node had before is an event. */
export async function reportLiveness(
  tx: Pick<HeartbeatTransaction, "events">,
  node: Node,
  liveness: Liveness,
): Promise<void> {
  if (node.liveness === liveness) return;
  const data = canonicalJson({ name: node.name });
  await tx.events.append([{ kind: `node.${liveness}`, nodeId: node.id, data }]);
}
