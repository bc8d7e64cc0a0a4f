import { constantTimeEqual, Problem } from "@gatehouse/core";
import { hmacSha256 } from "@gatehouse/kit";

/** What a challenge says. Nothing of it is stored: a MAC key that all replicas share vouches for it. */
export interface Challenge {
  readonly orgId: string;
  readonly nodeId: string;
  readonly apiKeyId: string;
  readonly clientNonce: Uint8Array;
  readonly serverNonce: Uint8Array;
  readonly expiresAt: number;
}

const UUID_BYTES = 16;
const NONCE_BYTES = 32;
const MAC_BYTES = 32;
const BODY_BYTES = 3 * UUID_BYTES + 2 * NONCE_BYTES + 8;
const DOMAIN = new TextEncoder().encode("gatehouse/challenge");

/** 152 opaque bytes. */
export function sealChallenge(challenge: Challenge, macKey: Uint8Array): Uint8Array {
  const { orgId, nodeId, apiKeyId, clientNonce, serverNonce, expiresAt } = challenge;
  const expiry = Buffer.alloc(8);
  expiry.writeBigUInt64BE(BigInt(expiresAt));
  const body = Buffer.concat([...[orgId, nodeId, apiKeyId].map(uuidBytes), clientNonce, serverNonce, expiry]);
  return new Uint8Array(Buffer.concat([body, hmacSha256(macKey, DOMAIN, body)]));
}

/** Reads a challenge of this server. Fails with `auth.refused` for anything else, and when it has expired. */
export function openChallenge(bytes: Uint8Array, macKey: Uint8Array, nowMs: number): Challenge {
  if (bytes.length !== BODY_BYTES + MAC_BYTES) throw new Problem("auth.refused");
  const body = Buffer.from(bytes.subarray(0, BODY_BYTES));
  if (!constantTimeEqual(hmacSha256(macKey, DOMAIN, body), bytes.subarray(BODY_BYTES)))
    throw new Problem("auth.refused");
  const nonces = 3 * UUID_BYTES;
  const expiresAt = Number(body.readBigUInt64BE(nonces + 2 * NONCE_BYTES));
  if (expiresAt <= nowMs) throw new Problem("auth.refused");
  return {
    orgId: uuidText(body.subarray(0, UUID_BYTES)),
    nodeId: uuidText(body.subarray(UUID_BYTES, 2 * UUID_BYTES)),
    apiKeyId: uuidText(body.subarray(2 * UUID_BYTES, nonces)),
    clientNonce: new Uint8Array(body.subarray(nonces, nonces + NONCE_BYTES)),
    serverNonce: new Uint8Array(body.subarray(nonces + NONCE_BYTES, nonces + 2 * NONCE_BYTES)),
    expiresAt,
  };
}

function uuidBytes(text: string): Buffer {
  return Buffer.from(text.replaceAll("-", ""), "hex");
}

function uuidText(bytes: Buffer): string {
  const hex = bytes.toString("hex");
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
}
