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
