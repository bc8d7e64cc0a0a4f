// The X.509 library's container needs this polyfill before it.
import "reflect-metadata";
import { webcrypto } from "node:crypto";
import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  SubjectKeyIdentifierExtension,
  X509CertificateGenerator,
} from "@peculiar/x509";
import type { CertificateAuthority, CreateCaOptions } from "./certificate-authority.ts";
import { BACKDATED_MS, keyIdentifier, randomSerial, toPem } from "./certificate-parts.ts";

const DAY_MS = 86_400_000;
const ALGORITHM = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" } as const;

/** The work of `createCa`, apart from it so that the library is loaded only when it is needed. */
export async function selfSignCa(options: CreateCaOptions): Promise<CertificateAuthority> {
  const keys = await webcrypto.subtle.generateKey(ALGORITHM, true, ["sign", "verify"]);
  const publicKey = Buffer.from(await webcrypto.subtle.exportKey("spki", keys.publicKey));
  const identifier = keyIdentifier(publicKey).toString("hex");
  const now = Date.now();
  const certificate = await X509CertificateGenerator.createSelfSigned({
    serialNumber: randomSerial().toString("hex"),
    name: [{ CN: [options.commonName] }],
    notBefore: new Date(now - BACKDATED_MS),
    notAfter: new Date(now + options.days * DAY_MS),
    keys,
    signingAlgorithm: ALGORITHM,
    extensions: [
      new BasicConstraintsExtension(true, options.pathLength, true),
      new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
      new SubjectKeyIdentifierExtension(identifier),
      new AuthorityKeyIdentifierExtension(identifier),
    ],
  });
  const privateKey = Buffer.from(await webcrypto.subtle.exportKey("pkcs8", keys.privateKey));
  return { certificatePem: `${certificate.toString("pem")}\n`, privateKeyPem: toPem("PRIVATE KEY", privateKey) };
}
