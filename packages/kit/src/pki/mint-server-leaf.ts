import { createPrivateKey, sign, X509Certificate } from "node:crypto";
import { isIP } from "node:net";
import type { CertificateAuthority } from "./certificate-authority.ts";
import { BACKDATED_MS, keyIdentifier, randomSerial, toPem } from "./certificate-parts.ts";
import { contextTag, der, derBits, derOid, derTime, derUnsigned, readElement, readElements, TAG } from "./der.ts";
import { ipBytes } from "./ip-bytes.ts";

export interface ServerLeafRequest {
  /** ECDSA P-256. */
  readonly ca: CertificateAuthority;
  /** A DNS name in ASCII, or an IP address. */
  readonly name: string;
  /** SPKI, DER: the key that the leaf is for. */
  readonly publicKey: Uint8Array;
  readonly ttlMs: number;
}

/** X.520's bound on common names. */
const MAX_COMMON_NAME = 64;
const DNS_NAME =
  /^(?=.{1,253}$)(?:\*\.)?[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?(?:\.[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?)*$/;

const OID = {
  commonName: "2.5.4.3",
  subjectKeyIdentifier: "2.5.29.14",
  keyUsage: "2.5.29.15",
  subjectAltName: "2.5.29.17",
  authorityKeyIdentifier: "2.5.29.35",
  extendedKeyUsage: "2.5.29.37",
  serverAuth: "1.3.6.1.5.5.7.3.1",
  ecdsaWithSha256: "1.2.840.10045.4.3.2",
} as const;

const VERSION_3 = der(contextTag(0, true), derUnsigned(Uint8Array.of(2)));
const SIGNATURE_ALGORITHM = der(TAG.sequence, derOid(OID.ecdsaWithSha256));
/** digitalSignature is bit 0; the seven below it are unused. */
const KEY_USAGE = extension(OID.keyUsage, derBits(Uint8Array.of(0x80), 7), true);
const EXTENDED_KEY_USAGE = extension(OID.extendedKeyUsage, der(TAG.sequence, derOid(OID.serverAuth)));

/**
 * Signs a TLS server leaf: DNS or IP SAN, key identifiers of subject and issuer, 128-bit serial, backdated 5 min, never
 * longer than the authority itself. Written by hand in DER because it is on the way of a run's first request to each
 * host. Throws a `RangeError` for a name that is neither, or an authority that has expired.
 */
export async function mintServerLeaf(request: ServerLeafRequest): Promise<string> {
  const issuer = readIssuer(request.ca.certificatePem);
  const now = Date.now();
  const notAfter = Math.min(now + request.ttlMs, issuer.notAfter);
  if (notAfter <= now) throw new RangeError("the certificate authority has expired");
  const publicKey = Buffer.from(request.publicKey);
  const subject = buildSubject(request.name);
  const tbs = der(
    TAG.sequence,
    VERSION_3,
    derUnsigned(randomSerial()),
    SIGNATURE_ALGORITHM,
    issuer.name,
    der(TAG.sequence, derTime(Math.max(now - BACKDATED_MS, issuer.notBefore)), derTime(notAfter)),
    subject,
    publicKey,
    der(contextTag(3, true), der(TAG.sequence, ...buildExtensions(request.name, publicKey, issuer))),
  );
  const signature = sign("sha256", tbs, createPrivateKey(request.ca.privateKeyPem));
  return toPem("CERTIFICATE", der(TAG.sequence, tbs, SIGNATURE_ALGORITHM, derBits(signature)));
}

interface Issuer {
  /** The Name, DER. */
  readonly name: Buffer;
  readonly keyIdentifier: Buffer;
  readonly notBefore: number;
  readonly notAfter: number;
}

function readIssuer(certificatePem: string): Issuer {
  const certificate = new X509Certificate(certificatePem);
  const [tbs] = readElements(readElement(certificate.raw).content);
  const fields = tbs === undefined ? [] : readElements(tbs.content);
  // Version 3: [0] version, serial, algorithm, issuer, validity, subject, key, then the tagged ones.
  const subject = fields[5];
  const extensions = fields.find(({ tag }) => tag === contextTag(3, true));
  if (subject === undefined || extensions === undefined) throw new RangeError("not a version 3 certificate");
  return {
    name: subject.whole,
    keyIdentifier: readKeyIdentifier(readElement(extensions.content).content),
    notBefore: certificate.validFromDate.getTime(),
    notAfter: certificate.validToDate.getTime(),
  };
}

function readKeyIdentifier(extensions: Buffer): Buffer {
  const wanted = derOid(OID.subjectKeyIdentifier);
  for (const { content } of readElements(extensions)) {
    const parts = readElements(content);
    const value = parts.at(-1);
    if (value !== undefined && parts[0]?.whole.equals(wanted)) return readElement(value.content).content;
  }
  throw new RangeError("the certificate authority has no subject key identifier");
}

/** A name too long for a common name leaves the subject empty; the SAN is then critical (RFC 5280 §4.2.1.6). */
function buildSubject(name: string): Buffer {
  if (name.length > MAX_COMMON_NAME) return der(TAG.sequence);
  const attribute = der(TAG.sequence, derOid(OID.commonName), der(TAG.utf8String, Buffer.from(name)));
  return der(TAG.sequence, der(TAG.set, attribute));
}

function buildExtensions(name: string, publicKey: Buffer, issuer: Issuer): readonly Buffer[] {
  return [
    KEY_USAGE,
    EXTENDED_KEY_USAGE,
    extension(OID.subjectAltName, der(TAG.sequence, buildGeneralName(name)), name.length > MAX_COMMON_NAME),
    extension(OID.subjectKeyIdentifier, der(TAG.octetString, keyIdentifier(publicKey))),
    extension(OID.authorityKeyIdentifier, der(TAG.sequence, der(contextTag(0, false), issuer.keyIdentifier))),
  ];
}

function buildGeneralName(name: string): Buffer {
  if (isIP(name) !== 0) return der(contextTag(7, false), ipBytes(name));
  if (!DNS_NAME.test(name)) throw new RangeError("a leaf is for a DNS name or an IP address");
  return der(contextTag(2, false), Buffer.from(name, "ascii"));
}

function extension(oid: string, value: Buffer, isCritical: boolean = false): Buffer {
  const critical = isCritical ? [der(TAG.boolean, Uint8Array.of(0xff))] : [];
  return der(TAG.sequence, derOid(oid), ...critical, der(TAG.octetString, value));
}
