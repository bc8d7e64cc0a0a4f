import { base64url, fromBase64url, Problem, type Roster, type RosterJoin, type RosterName } from "@gatehouse/core";

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
  /** Absent where there is none: a roster without joins is written as it always was. */
  readonly joins?: readonly {
    readonly version: number;
    readonly parents: readonly { readonly version: number; readonly sha256: string }[];
    readonly sha256: string;
  }[];
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
    ...describeJoins(roster.joins ?? []),
    signer: base64url(roster.signer),
    signature: base64url(roster.signature),
  };
}

function describeJoins(joins: readonly RosterJoin[]): Pick<RosterDocument, "joins"> {
  if (joins.length === 0) return {};
  const name = ({ version, sha256 }: RosterName) => ({ version, sha256: base64url(sha256) });
  return { joins: joins.map(({ parents, ...own }) => ({ ...name(own), parents: parents.map(name) })) };
}

/** Reads a roster; its signature is for `checkRoster` to judge. Fails with `roster.refused` for what is none. */
export function readRosterDocument(value: unknown): SignedRoster {
  try {
    const { org_id, version, issued_at, nodes, operator_keys, joins, signer, signature } = value as RosterDocument;
    if (typeof org_id !== "string") throw new TypeError("not a roster");
    return {
      orgId: org_id,
      version: counted(version),
      issuedAt: counted(issued_at),
      nodes: nodes.map((node) => ({
        nodeId: String(node.node_id),
        identityKey: bytes(node.identity_key),
        encryptionKey: bytes(node.encryption_key),
        caKey: bytes(node.ca_key),
      })),
      operatorKeys: operator_keys.map(bytes),
      joins: joins?.map((join) => ({ ...readName(join), parents: join.parents.map(readName) })),
      signer: bytes(signer),
      signature: bytes(signature),
    };
  } catch (cause) {
    throw new Problem("roster.refused", { detail: "It cannot be read.", cause });
  }
}

function readName({ version, sha256 }: { readonly version: number; readonly sha256: string }): RosterName {
  return { version: counted(version), sha256: bytes(sha256) };
}

function counted(count: number): number {
  if (!Number.isSafeInteger(count) || count < 1) throw new TypeError("not counted");
  return count;
}

function bytes(text: string): Uint8Array {
  const read = fromBase64url(text);
  if (read === undefined) throw new TypeError("not base64url");
  return read;
}
