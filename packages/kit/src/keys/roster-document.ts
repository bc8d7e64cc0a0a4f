import { base64url, fromBase64url, Problem, type Roster } from "@gatehouse/core";

/** A version of the roster with whoever signed it. */
export interface SignedRoster extends Roster {
  /** Ed25519: the org key, or an operator key of the version before. */
  readonly signer: Uint8Array;
  readonly signature: Uint8Array;
}

/** A roster as it travels in JSON: bytes are base64url. */
export interface RosterDocument {
  readonly org_id: string;
  readonly version: number;
  readonly issued_at: number;
  readonly nodes: readonly {
    readonly node_id: string;
    readonly identity_key: string;
    readonly encryption_key: string;
    readonly ca_key: string;
  }[];
  readonly operator_keys: readonly string[];
  readonly signer: string;
  readonly signature: string;
}

export function describeRoster(roster: SignedRoster): RosterDocument {
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

/** Reads a roster; its signature is for `checkRoster` to judge. Fails with `roster.refused` for what is none. */
export function readRosterDocument(value: unknown): SignedRoster {
  try {
    const { org_id, version, issued_at, nodes, operator_keys, signer, signature } = value as RosterDocument;
    const isCounted = [version, issued_at].every((count) => Number.isSafeInteger(count) && count > 0);
    if (typeof org_id !== "string" || !isCounted) throw new TypeError("not a roster");
    return {
      orgId: org_id,
      version,
      issuedAt: issued_at,
      nodes: nodes.map((node) => ({
        nodeId: String(node.node_id),
        identityKey: bytes(node.identity_key),
        encryptionKey: bytes(node.encryption_key),
        caKey: bytes(node.ca_key),
      })),
      operatorKeys: operator_keys.map(bytes),
      signer: bytes(signer),
      signature: bytes(signature),
    };
  } catch (cause) {
    throw new Problem("roster.refused", { detail: "It cannot be read.", cause });
  }
}

function bytes(text: string): Uint8Array {
  const read = fromBase64url(text);
  if (read === undefined) throw new TypeError("not base64url");
  return read;
}
