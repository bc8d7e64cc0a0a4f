import { Problem, Secret } from "@gatehouse/core";
import { FlattenedEncrypt, type FlattenedJWE, flattenedDecrypt } from "jose";
import type { NodeKey } from "./node-key.ts";

/** Seals text to the node (JWE, ECDH-ES, A256GCM), bound to `aad`: with another one it cannot be opened. */
export async function seal(key: NodeKey, text: Secret, aad: Uint8Array): Promise<FlattenedJWE> {
  return new FlattenedEncrypt(new TextEncoder().encode(text.reveal()))
    .setProtectedHeader({ alg: "ECDH-ES", enc: "A256GCM" })
    .setAdditionalAuthenticatedData(aad)
    .encrypt(key.publicKey);
}

/**
 * Opens what was sealed. The binding is computed from what the caller is about to rely on, never read from the file.
 * Fails with `credentials.unreadable` when the key is another or anything that is bound was changed.
 */
export async function open(key: NodeKey, jwe: FlattenedJWE, aad: Uint8Array): Promise<Secret> {
  const bound = { ...jwe, aad: Buffer.from(aad).toString("base64url") };
  try {
    const { plaintext } = await flattenedDecrypt(bound, key.privateKey, {
      keyManagementAlgorithms: ["ECDH-ES", "ECDH-ES+A256KW"],
      contentEncryptionAlgorithms: ["A256GCM"],
    });
    return new Secret(new TextDecoder().decode(plaintext));
  } catch (cause) {
    throw new Problem("credentials.unreadable", { cause });
  }
}
