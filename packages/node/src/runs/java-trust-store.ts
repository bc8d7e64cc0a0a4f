import { createHash } from "node:crypto";

const MAGIC = 0xfeedfeed;
const VERSION = 2;
const TRUSTED_CERTIFICATE = 2;
/** Part of the format's checksum; a reader that gives no password does not check it. */
const SALT = "Mighty Aphrodite";
const PASSWORD = "changeit";

/**
 * Certificates as a key store that every Java runtime reads without a password (JKS version 2: big-endian numbers,
 * strings with a length of two bytes, a SHA-1 checksum over password, salt and content). There is nothing secret in it.
 * Text without a certificate counts for nothing.
 */
export function javaTrustStore(certificates: readonly string[]): Buffer {
  const ders = certificates.map(toDer).filter((der) => der.length > 0);
  const content = Buffer.concat([
    uint32(MAGIC),
    uint32(VERSION),
    uint32(ders.length),
    ...ders.flatMap((der, index) => entry(`authority-${index}`, der)),
  ]);
  const checksum = createHash("sha1").update(Buffer.from(PASSWORD, "utf16le").swap16()).update(SALT).update(content);
  return Buffer.concat([content, checksum.digest()]);
}

function entry(alias: string, der: Buffer): readonly Buffer[] {
  // The time of its making; the same for all, so that equal certificates make equal stores.
  const createdAt = Buffer.alloc(8);
  return [uint32(TRUSTED_CERTIFICATE), text(alias), createdAt, text("X.509"), uint32(der.length), der];
}

function toDer(pem: string): Buffer {
  return Buffer.from(pem.replaceAll(/-----[^-]+-----/g, ""), "base64");
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

function text(ascii: string): Buffer {
  const length = Buffer.alloc(2);
  length.writeUInt16BE(ascii.length);
  return Buffer.concat([length, Buffer.from(ascii, "latin1")]);
}
