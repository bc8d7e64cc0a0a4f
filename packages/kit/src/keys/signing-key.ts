import {
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type JsonWebKey,
  type KeyObject,
  sign,
  verify,
} from "node:crypto";
import { base64url, Problem } from "@gatehouse/core";
import { readPrivateFile } from "../files/private-file.ts";
import { writeFileAtomic } from "../files/write-file-atomic.ts";

/** An Ed25519 pair. The private half leaves the object in no form but signatures and its own file. */
export interface SigningKey {
  /** 32 bytes. */
  readonly publicKey: Uint8Array;
  /** 64 bytes. */
  sign(message: Uint8Array): Uint8Array;
}

const KEY_BYTES = 32;
const SIGNATURE_BYTES = 64;

/** Reads a pair from a file of mode 0600, or makes it there: on disk before it is used. Fails with `state.…`. */
export async function openSigningKey(path: string): Promise<SigningKey> {
  const stored = await readSigningKey(path);
  if (stored !== undefined) return stored;
  const privateKey = makePrivateKey();
  await writeFileAtomic(path, JSON.stringify(privateKey.export({ format: "jwk" })));
  return toSigningKey(privateKey);
}

/** Reads a pair; `undefined` when the file is not there. Fails with `state.…`. */
export async function readSigningKey(path: string): Promise<SigningKey | undefined> {
  const stored = await readPrivateFile(path);
  return stored === undefined ? undefined : toSigningKey(parsePrivateJwk(stored, "Ed25519", path));
}

/** Whether an Ed25519 signature over the message is this key's. False for whatever is malformed. */
export function verifySignature(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  if (publicKey.length !== KEY_BYTES || signature.length !== SIGNATURE_BYTES) return false;
  try {
    return verify(null, message, importPublicKey("Ed25519", publicKey), signature);
  } catch {
    // Bytes that are no point of the curve are nobody's key.
    return false;
  }
}

/** The key object of raw public bytes. Throws for bytes that are no key. */
export function importPublicKey(curve: "Ed25519" | "X25519", raw: Uint8Array): KeyObject {
  const x = Buffer.from(raw).toString("base64url");
  return createPublicKey({ format: "jwk", key: { kty: "OKP", crv: curve, x } });
}

/** A private key as our files hold them: a JWK. Fails with `state.corrupt`. */
export function parsePrivateJwk(stored: Buffer, curve: "Ed25519" | "X25519", path: string): KeyObject {
  try {
    const jwk = JSON.parse(stored.toString()) as { readonly kty?: unknown; readonly crv?: unknown };
    if (jwk.kty === "OKP" && jwk.crv === curve) return createPrivateKey({ format: "jwk", key: jwk as JsonWebKey });
  } catch {
    // Not even JSON, or no key: the same problem as a key of another kind.
  }
  throw new Problem("state.corrupt", { detail: `${path} is not an ${curve} key.` });
}

/** The raw public bytes of a key. */
export function rawPublicKey(key: KeyObject): Uint8Array {
  const publicKey = key.type === "private" ? createPublicKey(key) : key;
  const { x = "" } = publicKey.export({ format: "jwk" });
  return new Uint8Array(Buffer.from(x, "base64url"));
}

/** One of 64 keys begins with a hyphen as text: a command line would take it for an option. */
function makePrivateKey(): KeyObject {
  const { privateKey, publicKey } = generateKeyPairSync("ed25519");
  return base64url(rawPublicKey(publicKey)).startsWith("-") ? makePrivateKey() : privateKey;
}

function toSigningKey(privateKey: KeyObject): SigningKey {
  return {
    publicKey: rawPublicKey(privateKey),
    sign: (message) => new Uint8Array(sign(null, message, privateKey)),
  };
}
