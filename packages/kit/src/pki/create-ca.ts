import type { CertificateAuthority, CreateCaOptions } from "./certificate-authority.ts";

/**
 * Makes a self-signed authority: ECDSA P-256, 128-bit serial, backdated 5 min, with the key identifiers and critical
 * constraints that strict verifiers ask for.
 */
export async function createCa(options: CreateCaOptions): Promise<CertificateAuthority> {
  // Loaded here: 100 ms that only a start which makes an authority pays.
  const { selfSignCa } = await import("./self-sign-ca.ts");
  return selfSignCa(options);
}
