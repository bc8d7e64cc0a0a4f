import { bundleTuple, commandTuple } from "@gatehouse/core";
import { keysFor, verifySignature } from "@gatehouse/kit";
import type { ServerKeys } from "../keys/server-keys.ts";
import type { Node } from "../nodes/node-records.ts";
import type { Counted } from "./own-stream.ts";

/** The last command that a node accepted, as its header proves it. */
export interface AcceptedCommand {
  readonly commandId: string;
  readonly idempotencyKey: string;
  readonly actor: string;
  readonly epoch: number;
  readonly seq: number;
  readonly notAfter: number;
  readonly payloadSha256: Uint8Array;
  readonly keyId: string;
  readonly signature: Uint8Array;
}

/** The bundle that a node serves, as its header proves it. */
export interface ServedBundle {
  readonly epoch: number;
  readonly generation: number;
  readonly issuedAt: number;
  readonly manifestSha256: Uint8Array;
  readonly keyId: string;
  readonly signature: Uint8Array;
}

export interface NodePosition {
  readonly bootId: string;
  /** `undefined`: it says that it never accepted one. */
  readonly lastCommand: AcceptedCommand | undefined;
  /** `undefined`: it says that it serves none yet. */
  readonly lastBundle: ServedBundle | undefined;
}

/** Why a node gets no command and no credential until an operator accepts it. */
export type QuarantineReason =
  | "two_boots"
  | "position_unproven"
  | "position_behind"
  | "position_ahead"
  | "bundle_ahead"
  | "revocation_unproven";

interface Court {
  readonly orgId: string;
  readonly keys: Pick<ServerKeys, "keySet">;
}

/** Compares where a node says it is with what is known of it here. `undefined`: both fit. */
export function judgePosition(
  node: Node,
  { bootId, lastCommand, lastBundle }: NodePosition,
  court: Court,
): QuarantineReason | undefined {
  // A boot's id is made anew at each start: one that comes back belongs to a second daemon with the same keys.
  if (bootId !== node.bootId && bootId === node.previousBootId) return "two_boots";
  if (lastBundle !== undefined && isAhead(node, lastBundle, court)) return "bundle_ahead";
  if (lastCommand === undefined) return node.acknowledgedSeq > 0 ? "position_behind" : undefined;
  // The keys of an earlier epoch are gone: nothing of then is proven. Its numbers are below all of this one.
  const isOfNow = lastCommand.epoch >= court.keys.keySet.epoch;
  if (isOfNow && !isProven(node, lastCommand, court)) return "position_unproven";
  if (lastCommand.seq < node.acknowledgedSeq) return "position_behind";
  return isOfNow && lastCommand.seq > node.commandSeq ? "position_ahead" : undefined;
}

/** The highest that was counted here for a node, as its row has it or as the node proves that it was. */
export function highestCounted(node: Node, { lastCommand, lastBundle }: NodePosition, court: Court): Counted {
  const generation = lastBundle && isAhead(node, lastBundle, court) ? lastBundle.generation : node.generation;
  const isCommandAhead = lastCommand !== undefined && isProven(node, lastCommand, court);
  return { generation, commandSeq: Math.max(node.commandSeq, isCommandAhead ? lastCommand.seq : 0) };
}

/**
 * Whether the node serves a bundle that this server signed and does not know of: its database was put back. One of
 * another epoch proves nothing: its generations were counted anew since.
 */
function isAhead({ id: nodeId, ...node }: Node, last: ServedBundle, { orgId, keys }: Court): boolean {
  const { epoch, generation, issuedAt, manifestSha256, keyId, signature } = last;
  if (epoch !== node.epoch || generation <= node.generation) return false;
  const tuple = bundleTuple({ orgId, nodeId, epoch, generation }, issuedAt, manifestSha256);
  const candidates = keysFor(keys.keySet, "bundle").filter(({ id }) => id === keyId);
  return candidates.some(({ key }) => verifySignature(key, tuple, signature));
}

function isProven(node: Node, last: AcceptedCommand, { orgId, keys }: Court): boolean {
  const tuple = commandTuple({ ...last, orgId, nodeId: node.id });
  const candidates = keysFor(keys.keySet, "command").filter(({ id }) => id === last.keyId);
  return candidates.some(({ key }) => verifySignature(key, tuple, last.signature));
}
