import type { ServiceImpl } from "@connectrpc/connect";
import type { PolicyAdminService } from "@gatehouse/wire";
import { deletePolicy, putPolicy } from "../../policies/change-policy.ts";
import type { ServerContext } from "../../server-context.ts";
import { actorOf, operatorCaller } from "../caller.ts";
import { tellNodes } from "./tell-nodes.ts";

/** Policies that hold every run of the organisation's nodes. */
export function policyAdminService({ store, bus, random }: ServerContext): ServiceImpl<typeof PolicyAdminService> {
  return {
    putPolicy: async ({ name, policy }, context) => {
      const caller = operatorCaller(context);
      const { orgId } = caller;
      const input = { actor: actorOf(caller), name, document: new TextDecoder().decode(policy) };
      tellNodes(bus, orgId, await store.inOrg(orgId, (tx) => putPolicy(tx, input, random)));
      return {};
    },
    listPolicies: async (_, context) => {
      const policies = await store.inOrg(operatorCaller(context).orgId, (tx) => tx.policies.list());
      const encoder = new TextEncoder();
      return {
        policies: policies.map(({ name, document, updatedAt }) => ({
          name,
          policy: encoder.encode(document),
          updatedAt: BigInt(updatedAt),
        })),
      };
    },
    deletePolicy: async ({ name }, context) => {
      const caller = operatorCaller(context);
      const { orgId } = caller;
      const input = { actor: actorOf(caller), name };
      tellNodes(bus, orgId, await store.inOrg(orgId, (tx) => deletePolicy(tx, input)));
      return {};
    },
  };
}
