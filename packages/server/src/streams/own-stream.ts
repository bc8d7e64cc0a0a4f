import type { Node, NodeRecords } from "../nodes/node-records.ts";
import type { Session, SessionRecords } from "../sessions/session-records.ts";

/** The control stream on whose behalf something is done. */
export interface OwnStream {
  readonly nodeId: string;
  readonly streamId: string;
  /** Of the session that it stands in. */
  readonly fence: number;
  /** What was counted for the node on this stream so far. Not given: nothing yet. */
  readonly counted?: Counted;
}

/** Counts of a node that only grow, unless the database is put back under a server that runs. */
export type Counted = Pick<Node, "generation" | "commandSeq">;

const NOTHING_COUNTED: Counted = { generation: 0, commandSeq: 0 };

export interface StreamTransaction {
  readonly now: () => number;
  readonly nodes: NodeRecords;
  readonly sessions: SessionRecords;
}

/**
 * The nodes, locked, in the order of these streams: each while the stream is still its one. A later handshake or a later
 * stream fences it off, on whichever replica, and so does a database that knows less than the stream. `undefined` then.
 */
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

/** The same of one stream, with its node and session as they were read. */
export function isOwnStream(
  { streamId, fence, counted }: OwnStream,
  node: Node | undefined,
  session: Session | undefined,
): node is Node {
  const isOwn = node?.state === "confirmed" && node.streamId === streamId && session?.fence === fence;
  return isOwn && !isPutBack(node, counted);
}

/** Why a stream is not the node's one any more; `undefined`: it is. */
export async function whyNotOwn(
  tx: StreamTransaction,
  stream: OwnStream,
): Promise<"node_revoked" | "put_back" | "session_ended" | "replaced" | undefined> {
  const node = await tx.nodes.lock(stream.nodeId);
  const isOwn: boolean = isOwnStream(stream, node, await tx.sessions.find(stream.nodeId));
  if (isOwn) return undefined;
  if (node === undefined) return "node_revoked";
  if (isPutBack(node, stream.counted)) return "put_back";
  return node.streamId === stream.streamId ? "session_ended" : "replaced";
}

/** Whether the database was put back since: the numbers that it would give next were given to others. */
function isPutBack(node: Counted, counted: Counted = NOTHING_COUNTED): boolean {
  return node.generation < counted.generation || node.commandSeq < counted.commandSeq;
}
