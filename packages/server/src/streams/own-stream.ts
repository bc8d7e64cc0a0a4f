import type { Node, NodeRecords } from "../nodes/node-records.ts";
import type { Session, SessionRecords } from "../sessions/session-records.ts";

/** The control stream on whose behalf something is done. */
export interface OwnStream {
  readonly nodeId: string;
  readonly streamId: string;
  /** Of the session that it stands in. */
  readonly fence: number;
}

export interface StreamTransaction {
  readonly now: () => number;
  readonly nodes: NodeRecords;
  readonly sessions: SessionRecords;
}

/**
 * The node, locked, while the stream is still its one: a later handshake or a later stream fences it off, on whichever
 * replica. `undefined` then.
 */
export async function ownsStream(tx: StreamTransaction, stream: OwnStream): Promise<Node | undefined> {
  const node = await tx.nodes.lock(stream.nodeId);
  return isOwnStream(stream, node, await tx.sessions.find(stream.nodeId)) ? node : undefined;
}

/** The same of many streams, in their order. */
export async function ownStreams(
  tx: StreamTransaction,
  streams: readonly OwnStream[],
): Promise<readonly (Node | undefined)[]> {
  const ids = streams.map(({ nodeId }) => nodeId);
  const nodes = new Map((await tx.nodes.lockAll(ids)).map((node) => [node.id, node]));
  const sessions = new Map((await tx.sessions.findAll(ids)).map((session) => [session.nodeId, session]));
  return streams.map((stream) => {
    const node = nodes.get(stream.nodeId);
    return isOwnStream(stream, node, sessions.get(stream.nodeId)) ? node : undefined;
  });
}

/** The same of a node and its session as they were read. */
export function isOwnStream(
  { streamId, fence }: OwnStream,
  node: Node | undefined,
  session: Session | undefined,
): node is Node {
  return node?.state === "confirmed" && node.streamId === streamId && session?.fence === fence;
}
