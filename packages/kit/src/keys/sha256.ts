import { createHmac, hash } from "node:crypto";

/** 32 bytes over the parts, one behind the other. */
export function sha256(...parts: readonly (Uint8Array | string)[]): Uint8Array {
  const [first = "", ...others] = parts;
  const whole = others.length === 0 ? first : Buffer.concat(parts.map((part) => Buffer.from(part)));
  // A Buffer would describe itself where bytes are written as base64url.
  return new Uint8Array(hash("sha256", whole, "buffer"));
}

/** HMAC-SHA-256: 32 bytes. */
export function hmacSha256(key: Uint8Array, ...parts: readonly Uint8Array[]): Uint8Array {
  const mac = createHmac("sha256", key);
  for (const part of parts) mac.update(part);
  return new Uint8Array(mac.digest());
}
