import { encodeTuple, type TupleField } from "../encoding/signed-tuple.ts";

type Bytes = Uint8Array;

/** Its SHA-256 begins with the pin of enrollment codes. */
export function pinTuple(serverIdentityKey: Bytes, orgId: string, orgKey: Bytes): Bytes {
  return encodeTuple("gatehouse/pin/v1", serverIdentityKey, orgId, orgKey);
}

/** Its SHA-256 begins with the pin of set-up codes. */
export function setupPinTuple(serverIdentityKey: Bytes): Bytes {
  return encodeTuple("gatehouse/setup-pin/v1", serverIdentityKey);
}

export interface NewOrg {
  readonly serverIdentityKey: Bytes;
  /** SHA-256 of the set-up code's 32 secret bytes. */
  readonly codeSha256: Bytes;
  readonly name: string;
  readonly owner: string;
  readonly orgKey: Bytes;
  readonly orgEncryptionKey: Bytes;
}

/** What an org key signs when its organisation is made. */
export function newOrgTuple({ serverIdentityKey, codeSha256, name, owner, orgKey, orgEncryptionKey }: NewOrg): Bytes {
  return encodeTuple("gatehouse/org/v1", serverIdentityKey, codeSha256, name, owner, orgKey, orgEncryptionKey);
}

/** What a working key of the server does. */
export type KeyUse = "channel" | "command" | "bundle" | "approval" | "audit" | "tls-ca" | "agent-ca";

export interface KeySet {
  readonly epoch: number;
  readonly issuedAt: number;
  readonly keys: readonly { readonly use: KeyUse; readonly id: string; readonly key: Bytes }[];
}

/** What the server's identity key signs: nothing else is ever signed by it, but a successor. */
export function keySetTuple(serverIdentityKey: Bytes, { epoch, issuedAt, keys }: KeySet): Bytes {
  const list = keys.map(({ use, id, key }): TupleField => [use, id, key]);
  return encodeTuple("gatehouse/key-set/v1", serverIdentityKey, epoch, issuedAt, list);
}

export interface WellKnown {
  readonly origin: string;
  readonly nonce: string;
  readonly serverTime: number;
  /** Empty for a set-up pin. */
  readonly orgId: string;
  readonly serverIdentityKey: Bytes;
  /** Empty for a set-up pin. */
  readonly orgKey: Bytes;
  readonly tlsSpkiSha256: Bytes;
}

/** What the channel key signs about the connection that the answer travels on. */
export function wellKnownTuple(known: WellKnown): Bytes {
  const { origin, nonce, serverTime, orgId, serverIdentityKey, orgKey, tlsSpkiSha256 } = known;
  return encodeTuple(
    "gatehouse/well-known/v1",
    origin,
    nonce,
    serverTime,
    orgId,
    serverIdentityKey,
    orgKey,
    tlsSpkiSha256,
  );
}
