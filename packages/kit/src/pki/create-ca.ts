import { createHash, randomBytes, webcrypto } from "node:crypto";
import { readElement, readElements } from "./der.ts";

/** A certificate authority as it is stored: the key's file stands apart from the certificate's. */
export interface CertificateAuthority {
  readonly certificatePem: string;
  /** PKCS#8. */
  readonly privateKeyPem: string;
}

export interface CreateCaOptions {
  /** At most 64 bytes (X.520's bound on common names). */
  readonly commonName: string;
  readonly days: number;
  /** How many authorities may follow below it; 0 signs leaves alone. */
  readonly pathLength: number;
}

const DAY_MS = 86_400_000;
/** Clocks of those who check may be behind. */
const BACKDATED_MS = 300_000;
const ALGORITHM = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" } as const;
const SERIAL_BYTES = 16;

/**
 * Makes a self-signed authority: ECDSA P-256, 128-bit serial, backdated 5 min, with the key identifiers and critical
 * constraints that strict verifiers ask for.
 */
export async function createCa(options: CreateCaOptions): Promise<CertificateAuthority> {
  // Loaded here: 100 ms that only the first start pays. The library's container needs the polyfill before it.
  await import("reflect-metadata");
  const x509 = await import("@peculiar/x509");
  const keys = await webcrypto.subtle.generateKey(ALGORITHM, true, ["sign", "verify"]);
  const publicKey = Buffer.from(await webcrypto.subtle.exportKey("spki", keys.publicKey));
  const identifier = keyIdentifier(publicKey).toString("hex");
  const now = Date.now();
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: randomSerial().toString("hex"),
    name: [{ CN: [options.commonName] }],
    notBefore: new Date(now - BACKDATED_MS),
    notAfter: new Date(now + options.days * DAY_MS),
    keys,
    signingAlgorithm: ALGORITHM,
    extensions: [
      new x509.BasicConstraintsExtension(true, options.pathLength, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      new x509.SubjectKeyIdentifierExtension(identifier),
      new x509.AuthorityKeyIdentifierExtension(identifier),
    ],
  });
  const privateKey = Buffer.from(await webcrypto.subtle.exportKey("pkcs8", keys.privateKey));
  return { certificatePem: `${certificate.toString("pem")}\n`, privateKeyPem: toPem("PRIVATE KEY", privateKey) };
}

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
