import { createPrivateKey, X509Certificate } from "node:crypto";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { Problem } from "@gatehouse/core";
import { type CertificateAuthority, createCa, readPrivateFile, writeFileAtomic } from "@gatehouse/kit";

const LIFE_DAYS = 365;
const RENEW_BEFORE_MS = 30 * 86_400_000;

/**
 * The CA that sandboxes trust, in `ca/`. Made at the first start and again 30 days before its end. Fails with
 * `state.corrupt` when what is stored is no pair.
 */
export async function openInterceptionCa(stateDir: string, now: number): Promise<CertificateAuthority> {
  const folder = join(stateDir, "ca");
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const certificate = await readPrivateFile(join(folder, "interception.crt"));
  const key = await readPrivateFile(join(folder, "interception.key"));
  if (certificate !== undefined && key !== undefined) {
    const stored = { certificatePem: certificate.toString(), privateKeyPem: key.toString() };
    // Checked in this order: one near its end is replaced whole, so a renewal that was cut short mends itself.
    if (isFresh(certificate, now)) return requirePair(stored);
  }
  const ca = await createCa({ commonName: "Gatehouse interception CA", days: LIFE_DAYS, pathLength: 0 });
  // The key first: a certificate without its key would be taken for a pair.
  await writeFileAtomic(join(folder, "interception.key"), ca.privateKeyPem);
  await writeFileAtomic(join(folder, "interception.crt"), ca.certificatePem);
  return ca;
}

function requirePair(ca: CertificateAuthority): CertificateAuthority {
  if (isPair(ca)) return ca;
  throw new Problem("state.corrupt", { detail: "ca/interception.key is not the key of ca/interception.crt." });
}

function isPair({ certificatePem, privateKeyPem }: CertificateAuthority): boolean {
  try {
    return new X509Certificate(certificatePem).checkPrivateKey(createPrivateKey(privateKeyPem));
  } catch {
    // What cannot even be read as a key is no pair either.
    return false;
  }
}

function isFresh(certificate: Buffer, now: number): boolean {
  try {
    return new X509Certificate(certificate).validToDate.getTime() - RENEW_BEFORE_MS > now;
  } catch (cause) {
    throw new Problem("state.corrupt", { detail: "ca/interception.crt is no certificate.", cause });
  }
}
