import { create } from "@bufbuild/protobuf";
import { makeUuid, Problem } from "@gatehouse/core";
import {
  type ControlStreamRequest,
  type ControlStreamResponse,
  ControlStreamResponseSchema,
  type Hello,
} from "@gatehouse/wire";
import type { ServerContext } from "../../server-context.ts";
import type { NodeCaller } from "../../sessions/authenticate-node.ts";
import { admitStream, leaveStream } from "../../streams/admit-stream.ts";
import { firstMessage, takeRest } from "./first-message.ts";
import { NodeStream } from "./node-stream.ts";

const HELLO_WITHIN_MS = 5_000;
/** Of the contract; a node that does not speak it is refused. */
const PROTOCOL_VERSION = 1;

/** Serves a node's control stream from its Hello to its end. Fails with `stream.no_hello`, `stream.version`, `auth.…`. */
export async function* serveControlStream(
  requests: AsyncIterable<ControlStreamRequest>,
  caller: NodeCaller,
  { server, signal }: { readonly server: ServerContext; readonly signal: AbortSignal },
): AsyncGenerator<ControlStreamResponse> {
  const { store, streams, bus } = server;
  const { orgId, nodeId } = caller;
  const incoming = requests[Symbol.asyncIterator]();
  const { own, counted, readAt } = await admit(incoming, caller, server);
  const stream = new NodeStream(server, caller, own.streamId);
  const end = () => stream.end();
  signal.addEventListener("abort", end, { once: true });
  // Whoever held the node's stream before, on another replica, looks and goes; this one has no need to look.
  bus.publish({ kind: "session", orgId, nodeId });
  streams.add(stream);
  bus.publish({ kind: "events", orgId });
  try {
    stream.begin(counted, readAt);
    // A connection that broke after the stream's end is nobody's failure.
    const ends = { onEnd: end, onFault: (failure: unknown) => stream.fail(failure) };
    void takeRest(incoming, (message) => stream.receive(message), ends);
    for await (const message of stream.outgoing) yield create(ControlStreamResponseSchema, { message });
  } finally {
    signal.removeEventListener("abort", end);
    stream[Symbol.dispose]();
    streams.remove(stream);
    await store.inOrg(orgId, (tx) => leaveStream(tx, own));
  }
}

/** Apart from what serves the stream: what the node said is let go of. */
async function admit(
  incoming: AsyncIterator<ControlStreamRequest>,
  { orgId, nodeId, fence }: NodeCaller,
  { store, keys, clock, random }: ServerContext,
) {
  const hello = await firstMessage(incoming, { read: readHello, withinMs: HELLO_WITHIN_MS, code: "stream.no_hello" });
  if (!hello.protocolVersions.includes(PROTOCOL_VERSION)) throw new Problem("stream.version");
  const own = { nodeId, fence, streamId: makeUuid(clock.now(), random) };
  const input = { ...own, ...describeHello(hello) };
  const readAt = clock.now();
  const counted = await store.inOrg(orgId, (tx) => admitStream(tx, input, keys));
  return { own, counted, readAt };
}

function readHello({ message }: ControlStreamRequest): Hello | undefined {
  return message.case === "hello" ? message.value : undefined;
}

function describeHello({ bootId, softwareVersion, lastCommand, lastBundle }: Hello) {
  const position =
    lastCommand === undefined
      ? undefined
      : {
          ...lastCommand,
          epoch: Number(lastCommand.epoch),
          seq: Number(lastCommand.seq),
          notAfter: Number(lastCommand.notAfter),
        };
  const served = lastBundle && {
    ...lastBundle,
    epoch: Number(lastBundle.epoch),
    generation: Number(lastBundle.generation),
    issuedAt: Number(lastBundle.issuedAt),
  };
  return { bootId, softwareVersion, lastCommand: position, lastBundle: served };
}
