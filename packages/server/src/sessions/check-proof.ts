import { base64url, Problem } from "@gatehouse/core";
import { sha256 } from "@gatehouse/kit";
import { compactVerify, importJWK } from "jose";
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

export interface ProofDeps {
  readonly macKey: Uint8Array;
  readonly now: () => number;
  /** False when the id was seen already. */
  readonly seeOnce: (sha256: Uint8Array, expiresAt: number) => Promise<boolean>;
}

const MAX_PROOF_BYTES = 4_096;
const MAX_ID_BYTES = 128;

/**
 * Checks that the holder of the node's key made this proof for this call, now and once. The nonce stands for time: the
 * caller's clock may be wrong. Fails with `auth.refused`, or `auth.stale_nonce` when all but the nonce was right.
 */
export async function checkProof(
  { proof, identityKey, url, tokenSha256 }: ProofSubject,
  deps: ProofDeps,
): Promise<void> {
  const claims = await verify(proof, identityKey);
  const { htm, htu, ath, jti, nonce } = claims;
  const isAboutThis = htm === "POST" && htu === url && ath === base64url(tokenSha256);
  const isNamed = typeof jti === "string" && jti.length > 0 && jti.length <= MAX_ID_BYTES;
  if (!isAboutThis || !isNamed) throw new Problem("auth.refused");
  if (typeof nonce !== "string" || !isFreshNonce(nonce, deps.macKey, deps.now())) throw new Problem("auth.stale_nonce");
  const isFirst = await deps.seeOnce(sha256(identityKey, jti), deps.now() + 2 * NONCE_TTL_MS);
  if (!isFirst) throw new Problem("auth.refused");
}

/** The claims of a proof that this key signed. Its `iat` says nothing: the nonce tells how old the proof is. */
async function verify(proof: string, identityKey: Uint8Array): Promise<Readonly<Record<string, unknown>>> {
  if (proof.length > MAX_PROOF_BYTES) throw new Problem("auth.refused");
  const jwk = { kty: "OKP", crv: "Ed25519", x: base64url(identityKey) };
  try {
    const key = await importJWK(jwk, "EdDSA");
    const { payload, protectedHeader } = await compactVerify(proof, key, { algorithms: ["EdDSA"] });
    const { typ, jwk: stated } = protectedHeader;
    const isOwn = typ === "dpop+jwt" && stated?.kty === jwk.kty && stated.crv === jwk.crv && stated.x === jwk.x;
    if (isOwn) return readClaims(payload);
  } catch (cause) {
    throw new Problem("auth.refused", { cause });
  }
  throw new Problem("auth.refused");
}

/** What is signed may be any JSON at all. */
function readClaims(payload: Uint8Array): Readonly<Record<string, unknown>> {
  const claims: unknown = JSON.parse(new TextDecoder().decode(payload));
  if (typeof claims !== "object" || claims === null) throw new TypeError("not an object");
  return claims as Readonly<Record<string, unknown>>;
}
