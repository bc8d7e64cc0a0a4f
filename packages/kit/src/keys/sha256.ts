import { createHmac, createSecretKey, hash } from "node:crypto";

/** 32 bytes over the parts, one behind the other. */
export function sha256(...parts: readonly (Uint8Array | string)[]): Uint8Array {
  const [first = "", ...others] = parts;
  const whole = others.length === 0 ? first : Buffer.concat(parts.map((part) => Buffer.from(part)));
  // As text: a Buffer for each hash would have memory of its own, and cost more than the hash itself.
  const digest = hash("sha256", whole, "binary");
  const bytes = new Uint8Array(digest.length);
  for (let at = 0; at < bytes.length; at += 1) bytes[at] = digest.charCodeAt(at);
  return bytes;
}

/** HMAC-SHA-256: 32 bytes. */
export function hmacSha256(key: Uint8Array, ...parts: readonly Uint8Array[]): Uint8Array {
  // With bytes for a key Node.js takes four times as long: on its way it throws, and catches, that they are no object.
  const mac = createHmac("sha256", createSecretKey(key));
  for (const part of parts) mac.update(part);
  return new Uint8Array(mac.digest());
}
