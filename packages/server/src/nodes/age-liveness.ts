import { livenessOf, OFFLINE_AFTER_MS, STALE_AFTER_MS } from "./liveness.ts";
import { type HeartbeatTransaction, reportLiveness } from "./take-heartbeat.ts";

/** Notes which nodes have gone quiet since the last turn. Answers how many changed. */
export async function ageLiveness(tx: HeartbeatTransaction): Promise<number> {
  const quiet = [
    ...(await tx.nodes.listQuiet("stale", tx.now() - OFFLINE_AFTER_MS + 1)),
    ...(await tx.nodes.listQuiet("online", tx.now() - STALE_AFTER_MS + 1)),
  ];
  for (const node of quiet) {
    const liveness = livenessOf(node.lastSeenAt, tx.now()) ?? "offline";
    await tx.nodes.update(node.id, { liveness });
    await reportLiveness(tx, node, liveness);
  }
  return quiet.length;
}
