import { randomUUID } from "node:crypto";
import { create, toBinary } from "@bufbuild/protobuf";
import { Ack_Status, type Command, CommandPayloadSchema } from "@gatehouse/wire";
import type { HostUnderTest } from "./fleet-under-test.ts";
import type { StreamUnderTest } from "./stream-under-test.ts";

/** The payload of a command that changes nothing. */
export const PING = toBinary(CommandPayloadSchema, create(CommandPayloadSchema, { kind: { case: "ping", value: {} } }));

interface Sending {
  readonly payload?: Uint8Array<ArrayBuffer>;
  /** Default: one of its own. */
  readonly key?: string;
  /** Default: the server's. */
  readonly ttlMs?: bigint;
}

/** Its organisation's owner commands a node: to answer a ping, if nothing else is said. */
export function send(host: HostUnderTest, { payload = PING, key = randomUUID(), ttlMs = 0n }: Sending = {}) {
  const command = { nodeIds: [host.registered.nodeId], payload, idempotencyKey: key, ttlMs };
  return host.org.nodes.sendCommand(command, host.org.headers);
}

/** A node says what became of a command: that it did it, if nothing else is said. */
export function acknowledge(stream: StreamUnderTest, { header }: Command, more: object = {}): void {
  stream.send({ case: "ack", value: { commandId: header?.commandId ?? "", status: Ack_Status.OK, ...more } });
}

/** The node as its organisation's owner sees it. */
export async function nodeOf({ name, org }: HostUnderTest) {
  return (await org.nodes.getNode({ node: name }, org.headers)).node;
}
