import { createHash, randomBytes } from "node:crypto";
import { readElement, readElements } from "./der.ts";

/** How far not-before lies in the past: clocks of those who check may be behind. */
export const BACKDATED_MS = 300_000;
const SERIAL_BYTES = 16;

/** The first 160 bits of SHA-256 over the public key's bits (RFC 7093 §2, method 1). Takes an SPKI. */
export function keyIdentifier(spki: Buffer): Buffer {
  return createHash("sha256").update(publicKeyBits(spki)).digest().subarray(0, 20);
}

/** 128 random bits, positive and never short: the top byte is between 0x40 and 0x7f. */
export function randomSerial(): Buffer {
  const serial = randomBytes(SERIAL_BYTES);
  serial[0] = ((serial[0] ?? 0) & 0x3f) | 0x40;
  return serial;
}

/** PEM with lines of 64 characters. */
export function toPem(label: string, data: Uint8Array): string {
  const lines =
    Buffer.from(data)
      .toString("base64")
      .match(/.{1,64}/g) ?? [];
  return `-----BEGIN ${label}-----\n${lines.join("\n")}\n-----END ${label}-----\n`;
}

function publicKeyBits(spki: Buffer): Buffer {
  const [, bits] = readElements(readElement(spki).content);
  if (bits === undefined) throw new RangeError("not a public key");
  return bits.content.subarray(1);
}
