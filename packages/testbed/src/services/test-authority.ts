import { webcrypto } from "node:crypto";
import { createSecureContext, type SecureContext } from "node:tls";
import { callbackify } from "node:util";
import { createCa, mintServerLeaf } from "@gatehouse/kit";

/** A certificate authority of its own, trusted by nobody until its PEM is handed over. */
export interface TestAuthority {
  readonly certificatePem: string;
  /** Options for a TLS server that presents a fitting leaf for whatever name the client asks for. */
  readonly serverOptions: TestServerOptions;
}

export interface TestServerOptions {
  readonly key: string;
  readonly cert: string;
  readonly SNICallback: (name: string, done: (failure: Error | null, context?: SecureContext) => void) => void;
}

const LEAF_TTL_MS = 3_600_000;

/** Makes the authority. A client that sends no SNI is shown a leaf for `address`. */
export async function createTestAuthority(address = "127.0.0.1"): Promise<TestAuthority> {
  const ca = await createCa({ commonName: "Gatehouse testbed", days: 2, pathLength: 0 });
  const keys = await webcrypto.subtle.generateKey({ name: "ECDSA", namedCurve: "P-256" }, true, ["sign", "verify"]);
  const publicKey = new Uint8Array(await webcrypto.subtle.exportKey("spki", keys.publicKey));
  const key = toPem(await webcrypto.subtle.exportKey("pkcs8", keys.privateKey));
  const mint = (name: string) => mintServerLeaf({ ca, name, publicKey, ttlMs: LEAF_TTL_MS });
  return {
    certificatePem: ca.certificatePem,
    serverOptions: {
      key,
      cert: await mint(address),
      SNICallback: callbackify(async (name: string) => createSecureContext({ key, cert: await mint(name) })),
    },
  };
}

function toPem(pkcs8: ArrayBuffer): string {
  const lines = Buffer.from(pkcs8)
    .toString("base64")
    .match(/.{1,64}/g);
  return `-----BEGIN PRIVATE KEY-----\n${lines?.join("\n")}\n-----END PRIVATE KEY-----\n`;
}
