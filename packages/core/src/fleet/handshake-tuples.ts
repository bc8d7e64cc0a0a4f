import { encodeTuple } from "../encoding/signed-tuple.ts";

// Keys are raw (Ed25519, X25519) or SPKI in DER (P-256), times are Unix milliseconds, ids and names are text.

type Bytes = Uint8Array;

export interface EnrollmentClaim {
  readonly serverIdentityKey: Bytes;
  readonly orgId: string;
  readonly orgKey: Bytes;
  /** SHA-256 of the code's 32 secret bytes. */
  readonly codeSha256: Bytes;
  readonly name: string;
  readonly identityKey: Bytes;
  readonly encryptionKey: Bytes;
  readonly caKey: Bytes;
}

/** What a host proves when it claims a code; its hash is what fingerprint and sealed answer are made of. */
export function enrollmentTuple(claim: EnrollmentClaim): Bytes {
  const { serverIdentityKey, orgId, orgKey, codeSha256, name, identityKey, encryptionKey, caKey } = claim;
  const keys = [identityKey, encryptionKey, caKey];
  return encodeTuple("gatehouse/enroll/v1", serverIdentityKey, orgId, orgKey, codeSha256, name, ...keys);
}

export interface AwaitedEnrollment {
  readonly origin: string;
  readonly enrollmentId: string;
  /** SHA-256 of the enrollment tuple. */
  readonly tupleSha256: Bytes;
  readonly signedAt: number;
}

/** What a host signs to hear of its confirmation. */
export function awaitTuple({ origin, enrollmentId, tupleSha256, signedAt }: AwaitedEnrollment): Bytes {
  return encodeTuple("gatehouse/await/v1", origin, enrollmentId, tupleSha256, signedAt);
}

export interface Handshake {
  readonly origin: string;
  readonly serverIdentityKey: Bytes;
  readonly challenge: Bytes;
  readonly clientNonce: Bytes;
  readonly serverNonce: Bytes;
  readonly nodeId: string;
  readonly identityKey: Bytes;
}

/** What a node signs to answer a challenge. Names the server, so that an answer is of no use at another. */
export function handshakeTuple(handshake: Handshake): Bytes {
  const { origin, serverIdentityKey, challenge, clientNonce, serverNonce, nodeId, identityKey } = handshake;
  const nonces = [clientNonce, serverNonce];
  return encodeTuple("gatehouse/handshake/v1", origin, serverIdentityKey, challenge, ...nonces, nodeId, identityKey);
}

/** What a fresh API key of a node is bound to while it travels. */
export function apiKeyTuple(nodeId: string, issuedAt: number): Bytes {
  return encodeTuple("gatehouse/api-key/v1", nodeId, issuedAt);
}
