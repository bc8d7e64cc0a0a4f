import {
  type BoundCredential,
  base64url,
  credentialTuple,
  fromBase64url,
  Problem,
  type Secret,
  sealedTuple,
} from "@gatehouse/core";
import { type FlattenedJWE, GeneralEncrypt, type GeneralJWE } from "jose";
import { sha256 } from "../keys/sha256.ts";
import { importPublicKey, type SigningKey, verifySignature } from "../keys/signing-key.ts";

/** A credential's value under way: ciphertext, whom it is for, and who vouches for it. */
export interface SealedValue {
  /** JWE in general JSON: one recipient each, named by `kid`, its X25519 key in base64url. */
  readonly jwe: string;
  /** Ed25519: an operator's key that the roster lists, or the org key. */
  readonly signer: Uint8Array;
  /** Over the tuple `gatehouse/sealed/v1`. */
  readonly signature: Uint8Array;
}

export interface SealingParties {
  /** X25519 keys; each once. */
  readonly recipients: readonly Uint8Array[];
  readonly signer: SigningKey;
}

const MAX_JWE_CHARACTERS = 1_048_576;

/** Seals a value to these recipients and no other, bound to where it may go, and signs that. */
export async function sealCredential(
  credential: BoundCredential,
  value: Secret,
  { recipients, signer }: SealingParties,
): Promise<SealedValue> {
  const sealing = new GeneralEncrypt(new TextEncoder().encode(value.reveal()))
    .setProtectedHeader({ enc: "A256GCM" })
    .setAdditionalAuthenticatedData(credentialTuple(credential));
  for (const key of recipients) {
    sealing
      .addRecipient(importPublicKey("X25519", key))
      .setUnprotectedHeader({ alg: "ECDH-ES+A256KW", kid: base64url(key) });
  }
  // What it is bound to is computed by whoever opens it; beside the ciphertext it would only be a claim.
  const { aad: _, ...jwe } = await sealing.encrypt();
  const signature = signer.sign(tupleOf(credential, jwe));
  return { jwe: JSON.stringify(jwe), signer: signer.publicKey, signature };
}

/** Whether the signature is the signer's over exactly this ciphertext, bound to exactly this credential. */
export function isSealedBy(credential: BoundCredential, { jwe, signer, signature }: SealedValue): boolean {
  try {
    return verifySignature(signer, tupleOf(credential, parseJwe(jwe)), signature);
  } catch {
    // What cannot even be read was signed by nobody.
    return false;
  }
}

/** The X25519 keys that a JWE in general JSON says it is for. Fails with `credentials.refused`. */
export function recipientsOf(jwe: string): readonly Uint8Array[] {
  const { recipients } = parseJwe(jwe) as Partial<GeneralJWE>;
  if (!Array.isArray(recipients)) throw refused("It has no recipients.");
  return recipients.map(({ header }) => bytesOf((header as { readonly kid?: unknown } | undefined)?.kid));
}

/** The part of a JWE in general JSON that one recipient needs, in flattened JSON; `undefined`: it is not for that key. */
export function projectJwe(jwe: string, recipient: Uint8Array): string | undefined {
  const { recipients, ...shared } = parseJwe(jwe);
  const kid = base64url(recipient);
  const own = recipients?.find(({ header }) => (header as { readonly kid?: unknown } | undefined)?.kid === kid);
  return own === undefined ? undefined : JSON.stringify({ ...shared, ...own });
}

/** The same for both forms: what is signed survives projection. */
function tupleOf(credential: BoundCredential, jwe: Partial<FlattenedJWE>): Uint8Array {
  const { protected: head, iv, ciphertext, tag } = jwe;
  if (typeof head !== "string") throw refused("It has no protected header.");
  return sealedTuple({
    aadSha256: sha256(credentialTuple(credential)),
    protectedSha256: sha256(head),
    iv: bytesOf(iv),
    ciphertextSha256: sha256(bytesOf(ciphertext)),
    tag: bytesOf(tag),
  });
}

function parseJwe(text: string): Partial<FlattenedJWE> & Partial<GeneralJWE> {
  if (text.length > MAX_JWE_CHARACTERS) throw refused("It is too long.");
  try {
    const jwe: unknown = JSON.parse(text);
    if (typeof jwe === "object" && jwe !== null) return jwe;
  } catch {
    // No JSON at all: the same problem as JSON of another kind.
  }
  throw refused("It is no JWE.");
}

function bytesOf(text: unknown): Uint8Array {
  const bytes = typeof text === "string" ? fromBase64url(text) : undefined;
  if (bytes === undefined) throw refused("Its JWE cannot be read.");
  return bytes;
}

function refused(detail: string): Problem {
  return new Problem("credentials.refused", { detail });
}
