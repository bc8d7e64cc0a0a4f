import { freshnessTuple, revocationTuple } from "@gatehouse/core";
import { type BundleTrust, isByBundleKey } from "./verify-bundle.ts";

/** How new a node's desired state is known to be, as the server's bundle key signed it. */
export interface SignedFreshness {
  readonly epoch: number;
  readonly generation: number;
  /** Unix milliseconds, the server's. */
  readonly serverTime: number;
  readonly keyId: string;
  readonly signature: Uint8Array;
}

/** What was taken back, as the server's bundle key signed it. */
export interface SignedRevocation {
  readonly epoch: number;
  readonly generation: number;
  /** Of credentials. */
  readonly ids: readonly string[];
  readonly keyId: string;
  readonly signature: Uint8Array;
}

export function isFreshnessOf(
  { orgId, nodeId, keySet }: BundleTrust,
  { epoch, generation, serverTime, keyId, signature }: SignedFreshness,
): boolean {
  const tuple = freshnessTuple({ orgId, nodeId, epoch, generation }, serverTime);
  return isByBundleKey(keySet, { epoch, keyId }, { tuple, signature });
}

export function isRevocationOf(
  { orgId, nodeId, keySet }: Pick<BundleTrust, "orgId" | "nodeId" | "keySet">,
  { epoch, generation, ids, keyId, signature }: SignedRevocation,
): boolean {
  const tuple = revocationTuple({ orgId, nodeId, epoch, generation }, ids);
  return isByBundleKey(keySet, { epoch, keyId }, { tuple, signature });
}
