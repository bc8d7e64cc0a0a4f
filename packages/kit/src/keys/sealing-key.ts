import { generateKeyPairSync, type KeyObject } from "node:crypto";
import { Problem, Secret } from "@gatehouse/core";
import { FlattenedEncrypt, flattenedDecrypt } from "jose";
import { readPrivateFile } from "../files/private-file.ts";
import { writeFileAtomic } from "../files/write-file-atomic.ts";
import { addRecipients, type SealingOnward } from "../fleet/add-recipients.ts";
import { importPublicKey, parsePrivateJwk, rawPublicKey } from "./signing-key.ts";

/** An X25519 pair to which others seal. */
export interface SealingKey {
  /** 32 bytes. */
  readonly publicKey: Uint8Array;
  /** Opens JWE JSON that was sealed to this key with this associated data. Fails with `sealed.unreadable`. */
  open(jwe: string, aad: Uint8Array): Promise<Secret>;
  /** Seals what a JWE in general JSON holds to further keys, as `addRecipients` does. Fails with `sealed.unreadable`. */
  sealOnward(jwe: string, onward: SealingOnward): string;
}

const MAX_JWE_BYTES = 4 * 1_048_576;
/**
 * Points whose order is small (RFC 7748 §6.1 and their other spellings): whatever the private key, the shared secret
 * is one that everybody knows.
 */
const SMALL_ORDER: ReadonlySet<string> = new Set([
  "0000000000000000000000000000000000000000000000000000000000000000",
  "0100000000000000000000000000000000000000000000000000000000000000",
  "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
  "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
  "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
  "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
  "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
]);

/** Reads a pair from a file of mode 0600, or makes it there: on disk before it is used. Fails with `state.…`. */
export async function openSealingKey(path: string): Promise<SealingKey> {
  const stored = await readPrivateFile(path);
  if (stored !== undefined) return toSealingKey(parsePrivateJwk(stored, "X25519", path));
  const { privateKey } = generateKeyPairSync("x25519");
  await writeFileAtomic(path, JSON.stringify(privateKey.export({ format: "jwk" })));
  return toSealingKey(privateKey);
}

/** Whether bytes are an X25519 key that something may be sealed to. */
export function isSealingKey(raw: Uint8Array): boolean {
  if (raw.length !== 32) return false;
  // The top bit is not part of the number (RFC 7748 §5).
  const masked = Buffer.from(raw);
  masked[31] = (masked[31] ?? 0) & 0x7f;
  return !SMALL_ORDER.has(masked.toString("hex"));
}

/** Seals text to an X25519 key: JWE in flattened JSON, ECDH-ES, A256GCM. Without the same `aad` nobody opens it. */
export async function sealTo(publicKey: Uint8Array, text: Secret, aad: Uint8Array): Promise<string> {
  const jwe = await new FlattenedEncrypt(new TextEncoder().encode(text.reveal()))
    .setProtectedHeader({ alg: "ECDH-ES", enc: "A256GCM" })
    .setAdditionalAuthenticatedData(aad)
    .encrypt(importPublicKey("X25519", publicKey));
  return JSON.stringify(jwe);
}

function toSealingKey(privateKey: KeyObject): SealingKey {
  return {
    publicKey: rawPublicKey(privateKey),
    sealOnward: (jwe, onward) => addRecipients(jwe, privateKey, onward),
    open: async (jwe, aad) => {
      if (jwe.length > MAX_JWE_BYTES) throw new Problem("sealed.unreadable");
      try {
        // What it is bound to is what the opener relies on, never what the sender wrote beside it.
        const bound = { ...JSON.parse(jwe), aad: Buffer.from(aad).toString("base64url") };
        const { plaintext } = await flattenedDecrypt(bound, privateKey, {
          keyManagementAlgorithms: ["ECDH-ES", "ECDH-ES+A256KW"],
          contentEncryptionAlgorithms: ["A256GCM"],
        });
        return new Secret(new TextDecoder().decode(plaintext));
      } catch (cause) {
        throw new Problem("sealed.unreadable", { cause });
      }
    },
  };
}
