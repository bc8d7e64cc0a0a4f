import type { Revocation, RevocationRecords } from "../bundles/revocation-records.ts";
import { type CommandKeys, type TakenCommands, type TakeTransaction, takeFor } from "../commands/take-commands.ts";
import type { Node, NodeRecords } from "../nodes/node-records.ts";
import { type OwnStream, ownsStream } from "./own-stream.ts";

/** Which state a node is to serve, and what was taken back since it last said what it serves. */
export interface ToldState {
  readonly node: Node;
  readonly revocations: readonly Revocation[];
}

interface StateTransaction {
  readonly nodes: NodeRecords;
  readonly revocations: RevocationRecords;
}

/** The generation of the last revocation that was sent on the stream. */
interface Told {
  readonly revokedThrough: number;
}

/** What is to be told of a node's state. `undefined`: there is no such node any more. */
export async function readState(
  tx: StateTransaction,
  { nodeId, revokedThrough }: Told & { readonly nodeId: string },
): Promise<ToldState | undefined> {
  const node = await tx.nodes.find(nodeId);
  return node && { node, revocations: await revocationsOf(tx, node, revokedThrough) };
}

/**
 * Everything that there is for a stream, in one transaction: looking is most of what a quiet server does for a large
 * fleet. `undefined`: the stream is another one's by now, nothing was taken.
 */
export async function lookForStream(
  tx: TakeTransaction & StateTransaction,
  stream: OwnStream & Told,
  keys: CommandKeys,
): Promise<(ToldState & { readonly taken: TakenCommands }) | undefined> {
  const node = await ownsStream(tx, stream);
  if (node === undefined) return undefined;
  const revocations = await revocationsOf(tx, node, stream.revokedThrough);
  return { node, revocations, taken: await takeFor(tx, node, keys) };
}

function revocationsOf(
  { revocations }: StateTransaction,
  { id, appliedGeneration }: Node,
  revokedThrough: number,
): Promise<readonly Revocation[]> {
  return revocations.listOfNode(id, Math.max(revokedThrough, appliedGeneration));
}
