import type { ServiceImpl } from "@connectrpc/connect";
import type { NodeAdminService } from "@gatehouse/wire";
import { findNode } from "../../nodes/find-node.ts";
import { labelNode } from "../../nodes/label-node.ts";
import { transferNode } from "../../nodes/transfer-node.ts";
import type { ServerContext } from "../../server-context.ts";
import { actorOf, operatorCaller } from "../caller.ts";
import { tellNodes } from "./tell-nodes.ts";

/** Which nodes take runs, in whose place, and by which labels they are found. */
export function placementMethods({ store, bus }: ServerContext) {
  return {
    transferNode: async ({ fromNodeId, toNodeId }, context) => {
      const caller = operatorCaller(context);
      const input = { fromNodeId, toNodeId, actor: actorOf(caller) };
      const { resealPending, nodeIds } = await store.inOrg(caller.orgId, (tx) => transferNode(tx, input));
      tellNodes(bus, caller.orgId, nodeIds);
      return { resealPending: [...resealPending] };
    },
    cordonNode: async ({ nodeId, cordoned }, context) => {
      const caller = operatorCaller(context);
      await store.inOrg(caller.orgId, async (tx) => {
        const node = await findNode(tx, nodeId);
        await tx.nodes.update(node.id, { isCordoned: cordoned });
        const kind = cordoned ? "node.cordoned" : "node.uncordoned";
        await tx.audit.append({ kind, actor: actorOf(caller), node: node.id });
      });
      return {};
    },
    labelNode: async ({ nodeId, labels: set, removedLabels: removed }, context) => {
      const caller = operatorCaller(context);
      const { orgId } = caller;
      const input = { nodeId, set, removed, actor: actorOf(caller) };
      const { labels, nodeIds } = await store.inOrg(orgId, (tx) => labelNode(tx, input));
      tellNodes(bus, orgId, nodeIds);
      bus.publish({ kind: "events", orgId });
      return { labels: { ...labels } };
    },
  } satisfies Partial<ServiceImpl<typeof NodeAdminService>>;
}
