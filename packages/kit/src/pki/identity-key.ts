import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject, sign, verify } from "node:crypto";
import { join } from "node:path";
import { Problem } from "@gatehouse/core";
import { readPrivateFile } from "../files/private-file.ts";
import { writeFileAtomic } from "../files/write-file-atomic.ts";

/** An Ed25519 pair that says who signed. */
export interface IdentityKey {
  /** 32 raw bytes. */
  readonly publicKey: Uint8Array;
  sign(bytes: Uint8Array): Uint8Array;
}

/** DER of an Ed25519 SubjectPublicKeyInfo, in front of the 32 raw bytes (RFC 8410). */
const SPKI_PREFIX = Buffer.from("302a300506032b6570032100", "hex");

/** Reads `identity.key`, or makes it at the first start. Fails with `state.corrupt` when it is no Ed25519 key. */
export async function openIdentityKey(stateDir: string): Promise<IdentityKey> {
  const path = join(stateDir, "identity.key");
  const stored = await readPrivateFile(path);
  const key = stored === undefined ? await makeKey(path) : parseKey(stored);
  const publicKey = createPublicKey(key).export({ type: "spki", format: "der" }).subarray(SPKI_PREFIX.length);
  return { publicKey: new Uint8Array(publicKey), sign: (bytes) => new Uint8Array(sign(null, bytes, key)) };
}

/** Whether `signature` is the Ed25519 key's over `bytes`. */
export function verifyIdentity(key: Uint8Array, bytes: Uint8Array, signature: Uint8Array): boolean {
  const der = Buffer.concat([SPKI_PREFIX, key]);
  try {
    return verify(null, bytes, createPublicKey({ key: der, format: "der", type: "spki" }), signature);
  } catch {
    // Bytes that are no key have signed nothing.
    return false;
  }
}

async function makeKey(path: string): Promise<KeyObject> {
  const { privateKey } = generateKeyPairSync("ed25519");
  await writeFileAtomic(path, JSON.stringify(privateKey.export({ format: "jwk" })));
  return privateKey;
}

function parseKey(stored: Buffer): KeyObject {
  try {
    const key = createPrivateKey({ key: JSON.parse(stored.toString()), format: "jwk" });
    if (key.asymmetricKeyType === "ed25519") return key;
  } catch {
    // Not even JSON: the same problem as a key of another kind.
  }
  throw new Problem("state.corrupt", { detail: "identity.key is not an Ed25519 key." });
}
