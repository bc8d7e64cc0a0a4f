import type { ServiceImpl } from "@connectrpc/connect";
import { Problem } from "@gatehouse/core";
import type { NodeGatewayService } from "@gatehouse/wire";
import { takeHeartbeat } from "../../nodes/take-heartbeat.ts";
import type { ServerContext } from "../../server-context.ts";
import { signFreshness } from "../../streams/sign-freshness.ts";
import { nodeCaller } from "../caller.ts";
import { serveControlStream } from "../streams/serve-control-stream.ts";

/** How a node in its session is heard and spoken to. */
export function sessionMethods(server: ServerContext) {
  const { store, keys, clock } = server;
  return {
    uploadHeartbeat: async ({ heartbeat }, context) => {
      const { orgId, nodeId } = nodeCaller(context);
      const runCount = heartbeat?.runCount ?? 0;
      const appliedGeneration = Number(heartbeat?.bundleGeneration ?? 0n);
      const input = { nodeId, runCount, appliedGeneration, isOnStream: false };
      const node = await store.inOrg(orgId, (tx) => takeHeartbeat(tx, input));
      if (node === undefined) throw new Problem("auth.refused");
      const { generation } = node;
      const serverTime = clock.now();
      const freshness = signFreshness({ orgId, nodeId, generation, serverTime }, keys);
      return { answer: { receivedAt: BigInt(serverTime), bundleGeneration: BigInt(generation) }, freshness };
    },
    controlStream: (requests, context) =>
      serveControlStream(requests, nodeCaller(context), { server, signal: context.signal }),
  } satisfies Partial<ServiceImpl<typeof NodeGatewayService>>;
}
