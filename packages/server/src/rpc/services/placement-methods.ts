import type { ServiceImpl } from "@connectrpc/connect";
import type { NodeAdminService } from "@gatehouse/wire";
import { findNode } from "../../nodes/find-node.ts";
import { transferNode } from "../../nodes/transfer-node.ts";
import type { ServerContext } from "../../server-context.ts";
import { actorOf, operatorCaller } from "../caller.ts";

/** Which nodes take runs, and in whose place. */
export function placementMethods({ store }: ServerContext) {
  return {
    transferNode: async ({ fromNodeId, toNodeId }, context) => {
      const caller = operatorCaller(context);
      const input = { fromNodeId, toNodeId, actor: actorOf(caller) };
      const resealPending = await store.inOrg(caller.orgId, (tx) => transferNode(tx, input));
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
  } satisfies Partial<ServiceImpl<typeof NodeAdminService>>;
}
