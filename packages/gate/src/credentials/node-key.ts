import { generateKeyPairSync } from "node:crypto";
import { join } from "node:path";
import { Problem } from "@gatehouse/core";
import { readPrivateFile, writeFileAtomic } from "@gatehouse/kit";
import { type CryptoKey, importJWK, type JWK } from "jose";

/** The node's X25519 pair: credentials are sealed to it, and only the key-holder reads its private half. */
export interface NodeKey {
  readonly publicKey: CryptoKey;
  readonly privateKey: CryptoKey;
}

/** Reads `encryption.key`, or makes it at the first start. Fails with `state.corrupt` when it is no key. */
export async function openNodeKey(stateDir: string): Promise<NodeKey> {
  const path = join(stateDir, "encryption.key");
  const stored = await readPrivateFile(path);
  const jwk = stored === undefined ? await makeKey(path) : parseKey(stored);
  const { d: _, ...publicJwk } = jwk;
  try {
    return {
      publicKey: (await importJWK(publicJwk, "ECDH-ES")) as CryptoKey,
      privateKey: (await importJWK(jwk, "ECDH-ES")) as CryptoKey,
    };
  } catch (cause) {
    throw new Problem("state.corrupt", { detail: "encryption.key is not an X25519 key.", cause });
  }
}

/** The node's side of X25519 with another public key: 32 bytes. Fails with `credentials.unreadable`. */
export async function agreeWith({ privateKey }: NodeKey, publicKey: Uint8Array): Promise<Uint8Array> {
  try {
    const other = await crypto.subtle.importKey("raw", Buffer.from(publicKey), "X25519", false, []);
    return new Uint8Array(await crypto.subtle.deriveBits({ name: "X25519", public: other }, privateKey, 256));
  } catch (cause) {
    throw new Problem("credentials.unreadable", { cause });
  }
}

async function makeKey(path: string): Promise<JWK> {
  const jwk = generateKeyPairSync("x25519").privateKey.export({ format: "jwk" }) as JWK;
  await writeFileAtomic(path, JSON.stringify(jwk));
  return jwk;
}

function parseKey(stored: Buffer): JWK {
  try {
    const jwk = JSON.parse(stored.toString()) as JWK;
    if (jwk.kty === "OKP" && jwk.crv === "X25519" && typeof jwk.x === "string" && typeof jwk.d === "string") return jwk;
  } catch {
    // Not even JSON: the same problem as a key of another kind.
  }
  throw new Problem("state.corrupt", { detail: "encryption.key is not an X25519 key." });
}
