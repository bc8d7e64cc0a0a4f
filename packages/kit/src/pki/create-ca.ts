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

/**
 * Makes a self-signed authority: ECDSA P-256, 128-bit serial, backdated 5 min, with the key identifiers and critical
 * constraints that strict verifiers ask for.
 */
export async function createCa(options: CreateCaOptions): Promise<CertificateAuthority> {
  // Loaded here: 100 ms that only a start which makes an authority pays.
  const { selfSignCa } = await import("./self-sign-ca.ts");
  return selfSignCa(options);
}
