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
  const { store, streams, bus, clock, random } = server;
  const { orgId, nodeId, fence } = caller;
  const incoming = requests[Symbol.asyncIterator]();
  const hello = await firstHello(incoming);
  const own = { nodeId, fence, streamId: makeUuid(clock.now(), random) };
  const input = { ...own, ...describeHello(hello) };
  const node = await store.inOrg(orgId, (tx) => admitStream(tx, input, server.keys));
  const stream = new NodeStream(server, caller, own.streamId);
  const end = () => stream.end();
  signal.addEventListener("abort", end, { once: true });
  streams.add(stream);
  // Whoever held the node's stream before, on another replica, looks and goes.
  bus.publish({ kind: "session", orgId, nodeId });
  bus.publish({ kind: "events", orgId });
  try {
    stream.begin(node.generation);
    void readAll(incoming, stream);
    for await (const message of stream.outgoing) yield create(ControlStreamResponseSchema, { message });
  } finally {
    signal.removeEventListener("abort", end);
    stream[Symbol.dispose]();
    streams.remove(stream);
    await store.inOrg(orgId, (tx) => leaveStream(tx, own));
  }
}

/** Acts on what comes, one message after the other; the end of the messages, or a fault, is the stream's. */
async function readAll(incoming: AsyncIterator<ControlStreamRequest>, stream: NodeStream): Promise<void> {
  try {
    for (let item = await incoming.next(); item.done !== true; item = await incoming.next()) {
      await stream.receive(item.value);
    }
    stream.end();
  } catch (failure) {
    // A connection that broke after the stream's end is nobody's failure.
    stream.fail(failure);
  }
}

async function firstHello(incoming: AsyncIterator<ControlStreamRequest>): Promise<Hello> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => late.reject(new Problem("stream.no_hello")), HELLO_WITHIN_MS);
  try {
    const first = await Promise.race([incoming.next(), late.promise]);
    const message = first.done === true ? undefined : first.value.message;
    if (message?.case !== "hello") throw new Problem("stream.no_hello");
    if (!message.value.protocolVersions.includes(PROTOCOL_VERSION)) throw new Problem("stream.version");
    return message.value;
  } finally {
    clearTimeout(timer);
  }
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
