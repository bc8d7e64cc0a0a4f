import { base64url } from "@gatehouse/core";
import type { SignedRoster } from "./roster-records.ts";

/** A roster as it travels in JSON: bytes are base64url. */
export function describeRoster(roster: SignedRoster): object {
  return {
    org_id: roster.orgId,
    version: roster.version,
    issued_at: roster.issuedAt,
    nodes: roster.nodes.map(({ nodeId, identityKey, encryptionKey, caKey }) => ({
      node_id: nodeId,
      identity_key: base64url(identityKey),
      encryption_key: base64url(encryptionKey),
      ca_key: base64url(caKey),
    })),
    operator_keys: roster.operatorKeys.map(base64url),
    signer: base64url(roster.signer),
    signature: base64url(roster.signature),
  };
}
