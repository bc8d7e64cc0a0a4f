import type { Clock } from "@gatehouse/core";
import type { Heartbeat } from "@gatehouse/wire";
import type { OrgContinuity } from "../../audit/org-continuity.ts";
import { takeCountersignature } from "../../audit/take-countersignature.ts";
import { witnessNodeHead } from "../../audit/witness-node-head.ts";
import type { WitnessedHead } from "../../audit/witness-records.ts";
import type { Bus } from "../../bus/bus.ts";
import type { ServerKeys } from "../../keys/server-keys.ts";
import type { Node } from "../../nodes/node-records.ts";
import { takeHeartbeat } from "../../nodes/take-heartbeat.ts";
import { withNews } from "../../reports/with-news.ts";
import type { OrgTransaction } from "../../store/org-transaction.ts";
import type { Store } from "../../store/store.ts";
import { describeContinued, describeWitnessed, readSaidHead, readSeenHead, readSigns } from "./read-heartbeat.ts";

export interface HeartbeatDeps {
  readonly store: Store;
  readonly bus: Bus;
  readonly clock: Clock;
  readonly keys: Pick<ServerKeys, "working">;
  readonly continuity: OrgContinuity;
}

export interface HeartbeatOf {
  readonly orgId: string;
  readonly nodeId: string;
  /** It came on the node's control stream. */
  readonly isOnStream: boolean;
}

/** Takes a heartbeat, by whichever way it came. `undefined`: there is no such node any more. */
export async function answerHeartbeat(
  heartbeat: Heartbeat,
  { orgId, nodeId, isOnStream }: HeartbeatOf,
  { store, bus, clock, keys, continuity }: HeartbeatDeps,
) {
  const input = { nodeId, isOnStream, ...readSigns(heartbeat) };
  // Before what is answered is read: a node counts from it how fresh that is.
  const receivedAt = BigInt(clock.now());
  const { result: taken, hasNews } = await store.inOrg(orgId, (own) =>
    withNews(own, async (tx) => {
      const node = await takeHeartbeat(tx, input);
      if (node === undefined) return undefined;
      const witnessed = await hearOfLogs(tx, node, { heartbeat, auditKey: keys.working.audit.key.publicKey });
      return { node, witnessed, continued: await continuity.since(tx, readSeenHead(heartbeat)?.head) };
    }),
  );
  if (hasNews) bus.publish({ kind: "events", orgId });
  if (taken === undefined) return undefined;
  return {
    receivedAt,
    bundleGeneration: BigInt(taken.node.generation),
    ...describeContinued(taken.continued),
    orgHeadBefore: heartbeat.orgHeadSeen?.head?.size ?? 0n,
    ...describeWitnessed(taken.witnessed),
  };
}

/** Takes what the heartbeat says of the node's own log and of its organisation's. Answers what is kept of the former. */
async function hearOfLogs(
  tx: OrgTransaction,
  node: Node,
  { heartbeat, auditKey }: { readonly heartbeat: Heartbeat; readonly auditKey: Uint8Array },
): Promise<WitnessedHead | undefined> {
  const [said, seen] = [readSaidHead(heartbeat), readSeenHead(heartbeat)];
  const kept = await tx.witnesses.listOfNode(node.id);
  const [own, org] = (["node", "org"] as const).map((subject) => kept.find((one) => one.subject === subject));
  if (seen !== undefined) await takeCountersignature(tx, node, { seen, auditKey, known: org });
  return said === undefined ? own : witnessNodeHead(tx, node, { said, known: own });
}
