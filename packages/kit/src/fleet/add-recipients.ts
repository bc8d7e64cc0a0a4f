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
const TAG_BYTES = 16;
/** RFC 3394 §2.2.3.1. */
const WRAP_IV = Buffer.from("a6a6a6a6a6a6a6a6", "hex");

type Recipient = Pick<FlattenedJWE, "encrypted_key" | "header">;

const MAX_PARTS_CHARACTERS = 131_072;
/** 32 bytes, and the same wrapped (RFC 3394), in base64url. */
const KEY = /^[A-Za-z0-9_-]{43}$/;
const WRAPPED = /^[A-Za-z0-9_-]{54}$/;

export interface SealingOnward {
  /** What it is bound to. */
  readonly aad: Uint8Array;
  /** X25519; one that it is for already is left out. */
  readonly keys: readonly Uint8Array[];
}

/**
 * Seals what a JWE in general JSON holds to further keys, by whoever can open it. The ciphertext stays as it is, and
 * with it the signature over it; nobody else's part changes. Fails with `sealed.unreadable` when this key's part does
 * not open exactly this: parts are signed by nobody, and one of another JWE would hand out that one's content key.
 */
export function addRecipients(jwe: string, own: KeyObject, { aad, keys }: SealingOnward): string {
  const whole = JSON.parse(jwe) as GeneralJWE;
  const kid = base64url(rawPublicKey(own));
  const part = whole.recipients.find(({ header }) => kidOf(header) === kid);
  const contentKey = unwrap(part, agree(own, ephemeralOf(part)));
  requireOpens(whole, contentKey, aad);
  return joinRecipients(jwe, writeParts(contentKey, keys), keys);
}

/** RFC 7516 §5.2, with A256GCM: the tag holds what is inside, the protected header and what it is bound to together. */
function requireOpens({ protected: head = "", iv, ciphertext, tag }: GeneralJWE, key: Buffer, aad: Uint8Array): void {
  const bytesOf = (text: string | undefined) => fromBase64url(text ?? "") ?? new Uint8Array();
  try {
    const decipher = createDecipheriv("aes-256-gcm", key, bytesOf(iv), { authTagLength: TAG_BYTES });
    decipher.setAAD(Buffer.from(`${head}.${base64url(aad)}`));
    decipher.setAuthTag(bytesOf(tag));
    decipher.update(bytesOf(ciphertext)).fill(0);
    decipher.final();
  } catch (cause) {
    throw new Problem("sealed.unreadable", { cause });
  }
}

/**
 * The parts of further X25519 keys, by the part of whoever can open a JWE, to be joined to it elsewhere: JSON.
 * `agreeWith` is that private key's side of X25519. Fails with `sealed.unreadable` when it cannot open it.
 */
export async function sealPart(
  part: Recipient | undefined,
  agreeWith: (publicKey: Uint8Array) => Promise<Uint8Array>,
  keys: readonly Uint8Array[],
): Promise<string> {
  return writeParts(unwrap(part, await agreeWith(ephemeralOf(part))), keys);
}

function writeParts(contentKey: Buffer, keys: readonly Uint8Array[]): string {
  return JSON.stringify(keys.map((key) => wrap(contentKey, key)));
}

/**
 * Joins parts that `sealPart` made to a JWE in general JSON: of the keys that were asked for and no other; one that it
 * is for already is left out. Fails with `sealed.unreadable` for parts of other keys, or not of all of them.
 */
export function joinRecipients(jwe: string, parts: string, keys: readonly Uint8Array[]): string {
  const { recipients, ...shared } = JSON.parse(jwe) as GeneralJWE;
  const known = new Set(recipients.map(({ header }) => kidOf(header)));
  const made = readParts(parts);
  const wanted = keys.map(base64url);
  const added = wanted.map((kid) => made.find(({ header }) => kidOf(header) === kid));
  if (added.includes(undefined) || made.length !== wanted.length) throw new Problem("sealed.unreadable");
  const fresh = made.filter(({ header }) => !known.has(kidOf(header)));
  return JSON.stringify({ ...shared, recipients: [...recipients, ...fresh] });
}

/** A JWE in general JSON with the parts of these keys alone. Nothing else of it changes. */
export function keepRecipients(jwe: string, keys: readonly Uint8Array[]): string {
  const { recipients, ...shared } = JSON.parse(jwe) as GeneralJWE;
  const kept = new Set<unknown>(keys.map(base64url));
  return JSON.stringify({ ...shared, recipients: recipients.filter(({ header }) => kept.has(kidOf(header))) });
}

/** Of each part what is needed of it, and nothing else that stands beside it. */
function readParts(text: string): readonly Recipient[] {
  if (text.length > MAX_PARTS_CHARACTERS) throw new Problem("sealed.unreadable");
  try {
    return (JSON.parse(text) as readonly Recipient[]).map(readPart);
  } catch (cause) {
    throw new Problem("sealed.unreadable", { cause });
  }
}

function readPart({ encrypted_key, header }: Recipient): Recipient {
  const { kid, epk } = header as { readonly kid: string; readonly epk: { readonly x: string } };
  const isRead = WRAPPED.test(encrypted_key ?? "") && [kid, epk.x].every((text) => KEY.test(text));
  if (!isRead) throw new TypeError("not a part");
  return partOf({ kid, x: epk.x, wrapped: encrypted_key ?? "" });
}

function partOf({ kid, x, wrapped }: Readonly<Record<"kid" | "x" | "wrapped", string>>): Recipient {
  return { encrypted_key: wrapped, header: { alg: ALGORITHM, kid, epk: { kty: "OKP", crv: "X25519", x } } };
}

function kidOf(header: unknown): unknown {
  return (header as { readonly kid?: unknown } | undefined)?.kid;
}

/** RFC 7518 §4.6, with the key that it is wrapped with agreed on anew for this recipient. */
function wrap(contentKey: Buffer, recipient: Uint8Array): Recipient {
  const { privateKey, publicKey } = generateKeyPairSync("x25519");
  const kek = deriveKey(agree(privateKey, recipient));
  const cipher = createCipheriv("id-aes256-wrap", kek, WRAP_IV);
  const wrapped = Buffer.concat([cipher.update(contentKey), cipher.final()]);
  const x = base64url(rawPublicKey(publicKey));
  return partOf({ kid: base64url(recipient), x, wrapped: base64url(wrapped) });
}

function unwrap(part: Recipient | undefined, shared: Uint8Array): Buffer {
  const wrapped = fromBase64url(part?.encrypted_key ?? "") ?? new Uint8Array();
  try {
    const decipher = createDecipheriv("id-aes256-wrap", deriveKey(shared), WRAP_IV);
    return Buffer.concat([decipher.update(wrapped), decipher.final()]);
  } catch (cause) {
    throw new Problem("sealed.unreadable", { cause });
  }
}

/** The key that a part was agreed on with. Fails with `sealed.unreadable`. */
function ephemeralOf(part: Recipient | undefined): Uint8Array {
  const { alg, epk } = (part?.header ?? {}) as { readonly alg?: unknown; readonly epk?: { readonly x?: unknown } };
  const ephemeral = typeof epk?.x === "string" ? fromBase64url(epk.x) : undefined;
  if (alg !== ALGORITHM || ephemeral?.length !== KEY_BYTES) throw new Problem("sealed.unreadable");
  return ephemeral;
}

function agree(privateKey: KeyObject, publicKey: Uint8Array): Buffer {
  try {
    return diffieHellman({ privateKey, publicKey: importPublicKey("X25519", publicKey) });
  } catch (cause) {
    throw new Problem("sealed.unreadable", { cause });
  }
}

/** The Concat KDF of RFC 7518 §4.6.2, one round, without party information. */
function deriveKey(shared: Uint8Array): Buffer {
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
