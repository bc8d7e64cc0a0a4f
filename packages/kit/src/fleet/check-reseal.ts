import { constantTimeEqual, fromBase64url, Problem, type ResealOrder, resealTuple } from "@gatehouse/core";
import { verifySignature } from "../keys/signing-key.ts";
import type { BundleTrust } from "./verify-bundle.ts";

/** An order to seal a credential to further keys, by whom it says. */
export interface SignedReseal extends Omit<ResealOrder, "orgId"> {
  /** Ed25519: an operator's key that the roster lists, or the org key. */
  readonly signer: Uint8Array;
  readonly signature: Uint8Array;
}

/** As long as a command lives. */
const MAX_AHEAD_MS = 86_400_000;

/**
 * Whether somebody who may ordered exactly this, of this node, now: signed by the org key or an operator key of the
 * newest roster, for keys that the roster lists as nodes' and nobody else's, this node's own among them. An order that
 * any node followed would let the server choose which one: what an operator hands over from one node, which may open
 * little, another one would seal that may open more. Which version is ordered is for whoever holds it to compare. The
 * server's word counts for nothing here. Fails with `credentials.refused`.
 */
export function checkReseal(order: SignedReseal, trust: BundleTrust, nowMs: number): void {
  const { notAfter, recipients, signer, signature } = order;
  const keysOf = (texts: readonly string[]) => texts.map((text) => fromBase64url(text) ?? new Uint8Array());
  const mayOrder = [trust.orgKey, ...keysOf(trust.roster.operator_keys)].some((key) => constantTimeEqual(key, signer));
  const isSigned = verifySignature(signer, resealTuple({ ...order, orgId: trust.orgId }), signature);
  if (!mayOrder || !isSigned) throw refused("Nobody who may signed the order to seal it to others.");
  if (notAfter <= nowMs || notAfter > nowMs + MAX_AHEAD_MS) throw refused("The order is not of now.");
  const own = trust.roster.nodes.filter(({ node_id }) => node_id === trust.nodeId);
  const isForThis = keysOf(own.map(({ encryption_key }) => encryption_key)).some((key) =>
    recipients.some((one) => constantTimeEqual(one, key)),
  );
  if (!isForThis) throw refused("The order is another node's to follow.");
  const listed = keysOf(trust.roster.nodes.map(({ encryption_key }) => encryption_key));
  const areListed = recipients.every((key) => listed.some((one) => constantTimeEqual(one, key)));
  if (!areListed) throw refused("The order names a key that is no node's on the roster.");
}

function refused(detail: string): Problem {
  return new Problem("credentials.refused", { detail });
}
