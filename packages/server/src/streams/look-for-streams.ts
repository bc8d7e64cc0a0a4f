import type { Revocation, RevocationRecords } from "../bundles/revocation-records.ts";
import type { CommandRecords } from "../commands/command-records.ts";
import type { Node, NodeRecords } from "../nodes/node-records.ts";
import type { SessionRecords } from "../sessions/session-records.ts";
import { isOwnStream, type OwnStream } from "./own-stream.ts";

/** A control stream as it asks what there is for it. */
export interface LookingStream extends OwnStream {
  /** The generation of the last revocation that was sent on it. */
  readonly revokedThrough: number;
}

/** What there is for a stream. */
export interface Seen {
  /** Whose generation is that of the state which it is to serve. */
  readonly node: Node;
  /** What was taken back since the node last said what it serves, and was not sent yet. */
  readonly revocations: readonly Revocation[];
  readonly hasCommands: boolean;
}

export interface LookTransaction {
  readonly nodes: NodeRecords;
  readonly sessions: SessionRecords;
  readonly revocations: RevocationRecords;
  readonly commands: CommandRecords;
}

/**
 * What there is for each of these streams, in their order: four statements, however many they are, because looking is
 * most of what a quiet server does for a large fleet. Takes and locks nothing. `undefined`: it is not the node's stream
 * any more.
 */
export async function lookForStreams(
  tx: LookTransaction,
  streams: readonly LookingStream[],
): Promise<readonly (Seen | undefined)[]> {
  const ids = streams.map(({ nodeId }) => nodeId);
  const nodes = new Map((await tx.nodes.findAll(ids)).map((node) => [node.id, node]));
  const sessions = new Map((await tx.sessions.findAll(ids)).map((session) => [session.nodeId, session]));
  const unapplied = await tx.revocations.listUnapplied(ids);
  const commanded = new Set(await tx.commands.listCommanded(ids));
  return streams.map((stream) => {
    const { nodeId, revokedThrough } = stream;
    const node = nodes.get(nodeId);
    if (!isOwnStream(stream, node, sessions.get(nodeId))) return undefined;
    const revocations = (unapplied.get(nodeId) ?? []).filter(({ generation }) => generation > revokedThrough);
    return { node, revocations, hasCommands: commanded.has(nodeId) };
  });
}
