import type { Node, NodeRecords } from "../nodes/node-records.ts";
import type { SessionRecords } from "../sessions/session-records.ts";

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
  if (node?.state !== "confirmed" || node.streamId !== stream.streamId) return undefined;
  const session = await tx.sessions.find(stream.nodeId);
  return session?.fence === stream.fence ? node : undefined;
}
