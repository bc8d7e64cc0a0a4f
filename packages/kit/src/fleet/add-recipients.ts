import {
  createCipheriv,
  createDecipheriv,
  createHash,
  diffieHellman,
  generateKeyPairSync,
  type KeyObject,
} from "node:crypto";
import { base64url, fromBase64url, Problem } from "@gatehouse/core";
import type { FlattenedJWE, GeneralJWE } from "jose";
import { importPublicKey, rawPublicKey } from "../keys/signing-key.ts";

const ALGORITHM = "ECDH-ES+A256KW";
const KEY_BYTES = 32;
/** RFC 3394 §2.2.3.1. */
const WRAP_IV = Buffer.from("a6a6a6a6a6a6a6a6", "hex");

type Recipient = Pick<FlattenedJWE, "encrypted_key" | "header">;

/**
 * Seals what a JWE in general JSON holds to further X25519 keys, by whoever can open it. The ciphertext stays as it is,
 * and with it the signature over it; nobody else's part changes. A key that it is for already is left out. Fails with
 * `sealed.unreadable` when this key cannot open it.
 */
export function addRecipients(jwe: string, own: KeyObject, keys: readonly Uint8Array[]): string {
  const { recipients, ...shared } = JSON.parse(jwe) as GeneralJWE;
  const kids = new Set(recipients.map(({ header }) => kidOf(header)));
  const contentKey = unwrap(
    recipients.find(({ header }) => kidOf(header) === base64url(rawPublicKey(own))),
    own,
  );
  const added = keys.filter((key) => !kids.has(base64url(key))).map((key) => wrap(contentKey, key));
  return JSON.stringify({ ...shared, recipients: [...recipients, ...added] });
}

function kidOf(header: unknown): unknown {
  return (header as { readonly kid?: unknown } | undefined)?.kid;
}

/** RFC 7518 §4.6, with the key that it is wrapped with agreed on anew for this recipient. */
function wrap(contentKey: Buffer, recipient: Uint8Array): Recipient {
  const { privateKey, publicKey } = generateKeyPairSync("x25519");
  const kek = agree(privateKey, importPublicKey("X25519", recipient));
  const cipher = createCipheriv("id-aes256-wrap", kek, WRAP_IV);
  const wrapped = Buffer.concat([cipher.update(contentKey), cipher.final()]);
  const epk = { kty: "OKP", crv: "X25519", x: base64url(rawPublicKey(publicKey)) };
  return { encrypted_key: base64url(wrapped), header: { alg: ALGORITHM, kid: base64url(recipient), epk } };
}

function unwrap(recipient: Recipient | undefined, own: KeyObject): Buffer {
  const { alg, epk } = (recipient?.header ?? {}) as { readonly alg?: unknown; readonly epk?: { readonly x?: unknown } };
  const wrapped = fromBase64url(recipient?.encrypted_key ?? "");
  const ephemeral = typeof epk?.x === "string" ? fromBase64url(epk.x) : undefined;
  if (alg !== ALGORITHM || wrapped === undefined || ephemeral === undefined) throw new Problem("sealed.unreadable");
  try {
    const decipher = createDecipheriv("id-aes256-wrap", agree(own, importPublicKey("X25519", ephemeral)), WRAP_IV);
    return Buffer.concat([decipher.update(wrapped), decipher.final()]);
  } catch (cause) {
    throw new Problem("sealed.unreadable", { cause });
  }
}

/** The Concat KDF of RFC 7518 §4.6.2, one round, without party information. */
function agree(privateKey: KeyObject, publicKey: KeyObject): Buffer {
  const shared = diffieHellman({ privateKey, publicKey });
  const algorithm = Buffer.from(ALGORITHM);
  return createHash("sha256")
    .update(uint32(1))
    .update(shared)
    .update(uint32(algorithm.length))
    .update(algorithm)
    .update(uint32(0))
    .update(uint32(0))
    .update(uint32(KEY_BYTES * 8))
    .digest();
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}
