import { base64url, constantTimeEqual, fromBase64url } from "@gatehouse/core";
import { hmacSha256 } from "@gatehouse/kit";

/** How long a nonce is good, on every replica. */
export const NONCE_TTL_MS = 60_000;

const TIME_BYTES = 8;
const MAC_BYTES = 16;
const DOMAIN = new TextEncoder().encode("gatehouse/dpop-nonce");

/** A nonce for DPoP proofs (RFC 9449 §8): the server's time under the MAC key that all replicas share. */
export function issueNonce(macKey: Uint8Array, nowMs: number): string {
  const time = Buffer.alloc(TIME_BYTES);
  time.writeBigUInt64BE(BigInt(nowMs));
  return base64url(Buffer.concat([time, mac(macKey, time)]));
}

/** Whether a nonce is one of ours and still good. */
export function isFreshNonce(nonce: string, macKey: Uint8Array, nowMs: number): boolean {
  const bytes = fromBase64url(nonce);
  if (bytes?.length !== TIME_BYTES + MAC_BYTES) return false;
  const time = Buffer.from(bytes.subarray(0, TIME_BYTES));
  if (!constantTimeEqual(mac(macKey, time), bytes.subarray(TIME_BYTES))) return false;
  const ageMs = nowMs - Number(time.readBigUInt64BE());
  return ageMs >= 0 && ageMs < NONCE_TTL_MS;
}

function mac(macKey: Uint8Array, time: Buffer): Uint8Array {
  return hmacSha256(macKey, DOMAIN, time).subarray(0, MAC_BYTES);
}
