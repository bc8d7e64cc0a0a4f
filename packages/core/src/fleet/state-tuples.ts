import { encodeTuple } from "../encoding/signed-tuple.ts";

type Bytes = Uint8Array;

export interface SignedCommand {
  readonly orgId: string;
  readonly nodeId: string;
  readonly actor: string;
  readonly epoch: number;
  readonly seq: number;
  readonly commandId: string;
  readonly idempotencyKey: string;
  readonly notAfter: number;
  readonly payloadSha256: Bytes;
}

/** What the command key signs. */
export function commandTuple(command: SignedCommand): Bytes {
  const { orgId, nodeId, actor, epoch, seq, commandId, idempotencyKey, notAfter, payloadSha256 } = command;
  const order = [epoch, seq, commandId, idempotencyKey, notAfter];
  return encodeTuple("gatehouse/command/v1", orgId, nodeId, actor, ...order, payloadSha256);
}

/** Whose desired state, and which. */
export interface StateOfNode {
  readonly orgId: string;
  readonly nodeId: string;
  readonly epoch: number;
  readonly generation: number;
}

/** What the bundle key signs of a bundle. */
export function bundleTuple(state: StateOfNode, issuedAt: number, manifestSha256: Bytes): Bytes {
  const { orgId, nodeId, epoch, generation } = state;
  return encodeTuple("gatehouse/bundle/v1", orgId, nodeId, epoch, generation, issuedAt, manifestSha256);
}

/** What the bundle key signs of how new a node's state is known to be. */
export function freshnessTuple({ orgId, nodeId, epoch, generation }: StateOfNode, serverTime: number): Bytes {
  return encodeTuple("gatehouse/freshness/v1", orgId, nodeId, epoch, generation, serverTime);
}

/** What the bundle key signs of what was taken back. */
export function revocationTuple({ orgId, nodeId, epoch, generation }: StateOfNode, ids: readonly string[]): Bytes {
  return encodeTuple("gatehouse/revocation/v1", orgId, nodeId, epoch, generation, [...ids]);
}
