import { canonicalJson } from "@gatehouse/core";
import { livenessOf, OFFLINE_AFTER_MS, STALE_AFTER_MS } from "./liveness.ts";
import type { HeartbeatTransaction } from "./take-heartbeat.ts";

/** Notes which nodes have gone quiet since the last turn. Answers how many changed. */
export async function ageLiveness(tx: HeartbeatTransaction): Promise<number> {
  const now = tx.now();
  const quiet = await tx.nodes.lockQuiet({ stale: now - OFFLINE_AFTER_MS + 1, online: now - STALE_AFTER_MS + 1 });
  const events = [];
  for (const { id: nodeId, name, lastSeenAt } of quiet) {
    const liveness = livenessOf(lastSeenAt, now) ?? "offline";
    await tx.nodes.update(nodeId, { liveness });
    events.push({ kind: `node.${liveness}`, nodeId, data: canonicalJson({ name }) });
  }
  await tx.events.append(events);
  return quiet.length;
}
