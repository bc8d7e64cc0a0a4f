import { base64url, fromBase64url, Problem } from "@gatehouse/core";
import { sha256, verifySignature } from "@gatehouse/kit";
import { isFreshNonce, NONCE_TTL_MS } from "./proof-nonce.ts";

/** What a DPoP proof (RFC 9449) must be about. */
export interface ProofSubject {
  /** The compact JWT of the `DPoP` header. */
  readonly proof: string;
  /** Ed25519: the node's. */
  readonly identityKey: Uint8Array;
  /** Origin and path of the call. */
  readonly url: string;
  /** Of the session token that it comes with. */
  readonly tokenSha256: Uint8Array;
}

export interface ProofTransaction {
  readonly now: () => number;
  /** False when the id was seen already. */
  seeProof(sha256: Uint8Array, expiresAt: number): Promise<boolean>;
}

const MAX_PROOF_BYTES = 4_096;
const MAX_ID_BYTES = 128;

/**
 * Checks that the holder of the node's key made this proof for this call, now and once. The nonce stands for time: the
 * caller's clock may be wrong. Fails with `auth.refused`, or `auth.stale_nonce` when all but the nonce was right.
 */
export async function checkProof(
  tx: ProofTransaction,
  { proof, identityKey, url, tokenSha256 }: ProofSubject,
  macKey: Uint8Array,
): Promise<void> {
  const claims = verify(proof, identityKey);
  const { htm, htu, ath, jti, nonce } = claims;
  const isAboutThis = htm === "POST" && htu === url && ath === base64url(tokenSha256);
  const isNamed = typeof jti === "string" && jti.length > 0 && jti.length <= MAX_ID_BYTES;
  if (!isAboutThis || !isNamed) throw new Problem("auth.refused");
  if (typeof nonce !== "string" || !isFreshNonce(nonce, macKey, tx.now())) throw new Problem("auth.stale_nonce");
  const isFirst = await tx.seeProof(sha256(identityKey, jti), tx.now() + 2 * NONCE_TTL_MS);
  if (!isFirst) throw new Problem("auth.refused");
}

/**
 * The claims of a proof that this key signed: a compact JWS (RFC 7515 §7.1) whose header says what a proof's must and no
 * extension. Its `iat` says nothing: the nonce tells how old the proof is. Read here, because a JOSE library takes
 * four turns of the event loop and a thread for each, and every call of every node brings one.
 */
function verify(proof: string, identityKey: Uint8Array): Readonly<Record<string, unknown>> {
  const [header = "", payload = "", signature = "", ...rest] = proof.split(".");
  if (proof.length > MAX_PROOF_BYTES || rest.length > 0) throw new Problem("auth.refused");
  const signed = new TextEncoder().encode(`${header}.${payload}`);
  const bytes = fromBase64url(signature);
  if (bytes === undefined || !verifySignature(identityKey, signed, bytes)) throw new Problem("auth.refused");
  const { alg, typ, jwk, crit, b64 } = readObject(header);
  const { kty, crv, x } = isObject(jwk) ? jwk : {};
  const isProof = alg === "EdDSA" && typ === "dpop+jwt" && crit === undefined && b64 === undefined;
  const isOwn = kty === "OKP" && crv === "Ed25519" && x === base64url(identityKey);
  if (!isProof || !isOwn) throw new Problem("auth.refused");
  return readObject(payload);
}

/** One part of a proof. What is signed may be any bytes at all. */
function readObject(part: string): Readonly<Record<string, unknown>> {
  const bytes = fromBase64url(part);
  if (bytes === undefined) throw new Problem("auth.refused");
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (cause) {
    throw new Problem("auth.refused", { cause });
  }
  if (!isObject(value)) throw new Problem("auth.refused");
  return value;
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null;
}
