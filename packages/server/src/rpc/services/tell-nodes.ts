import type { Bus } from "../../bus/bus.ts";

/** Lets whoever holds a node's stream know that its desired state changed. After the commit. */
export function tellNodes(bus: Bus, orgId: string, nodeIds: readonly string[]): void {
  for (const nodeId of nodeIds) bus.publish({ kind: "bundle", orgId, nodeId });
}
