import { create } from "@bufbuild/protobuf";
import { Problem } from "@gatehouse/core";
import { type RunStreamRequest, type RunStreamResponse, RunStreamResponseSchema } from "@gatehouse/wire";
import type { NodeCaller } from "../../sessions/authenticate-node.ts";
import { firstMessage, takeRest } from "./first-message.ts";
import type { NodeStreams } from "./node-streams.ts";

const OPEN_WITHIN_MS = 5_000;

/**
 * Serves the streams of a run that somebody is attached to, for as long as the node's control stream is here. Fails with
 * `stream.broken`, or `runs.away` where nobody waits for it.
 */
export async function* serveRunStream(
  requests: AsyncIterable<RunStreamRequest>,
  { orgId, nodeId }: NodeCaller,
  { streams, signal }: { readonly streams: NodeStreams; readonly signal: AbortSignal },
): AsyncGenerator<RunStreamResponse> {
  const incoming = requests[Symbol.asyncIterator]();
  const read = (request: RunStreamRequest) => (request.message.case === "open" ? request : undefined);
  const first = await firstMessage(incoming, { read, withinMs: OPEN_WITHIN_MS, code: "stream.broken" });
  if (first.message.case !== "open") throw new Problem("stream.broken");
  const { attachmentId: id, runId } = first.message.value;
  const attachment = streams.attachments.find({ id, orgId, nodeId, runId });
  if (attachment === undefined) throw new Problem("runs.away");
  attachment.takeFromNode(first);
  const leave = () => attachment.fail(new Problem("runs.away"));
  signal.addEventListener("abort", leave, { once: true });
  try {
    const fail = (failure: unknown) => attachment.fail(failure instanceof Problem ? failure : new Problem("runs.away"));
    void takeRest(incoming, (message) => attachment.takeFromNode(message), { onEnd: leave, onFault: fail });
    for await (const message of attachment.toNode) yield create(RunStreamResponseSchema, { message });
  } finally {
    signal.removeEventListener("abort", leave);
    leave();
  }
}
