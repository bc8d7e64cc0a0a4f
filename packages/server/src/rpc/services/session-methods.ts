import type { HandlerContext, ServiceImpl } from "@connectrpc/connect";
import { Problem } from "@gatehouse/core";
import type { ControlStreamRequest, NodeGatewayService } from "@gatehouse/wire";
import type { ServerContext } from "../../server-context.ts";
import { signFreshness } from "../../streams/sign-freshness.ts";
import { nodeCaller } from "../caller.ts";
import { answerHeartbeat } from "../streams/answer-heartbeat.ts";
import { serveControlStream } from "../streams/serve-control-stream.ts";
import { serveRunStream } from "../streams/serve-run-stream.ts";

/** How a node in its session is heard and spoken to. */
export function sessionMethods(server: ServerContext) {
  return {
    uploadHeartbeat: async ({ heartbeat }, context) => {
      const { orgId, nodeId } = nodeCaller(context);
      if (heartbeat === undefined) throw new Problem("api.malformed", { detail: "heartbeat is missing." });
      const answer = await answerHeartbeat(heartbeat, { orgId, nodeId, isOnStream: false }, server);
      if (answer === undefined) throw new Problem("auth.refused");
      const serverTime = Number(answer.receivedAt);
      const own = { orgId, nodeId, generation: Number(answer.bundleGeneration), serverTime };
      return { answer, freshness: signFreshness(own, server.keys) };
    },
    runStream: (requests, context) =>
      serveRunStream(requests, nodeCaller(context), { streams: server.streams, signal: context.signal }),
    controlStream: controlStream(server),
  } satisfies Partial<ServiceImpl<typeof NodeGatewayService>>;
}

/** A node's control stream, whichever way it came. */
export function controlStream(server: ServerContext) {
  return (
    requests: AsyncIterable<ControlStreamRequest>,
    { values, signal }: Pick<HandlerContext, "values" | "signal">,
  ) => serveControlStream(requests, nodeCaller({ values }), { server, signal });
}
