import { base64url, systemRandom } from "@gatehouse/core";
import { sha256 } from "../keys/sha256.ts";
import type { SigningKey } from "../keys/signing-key.ts";

export interface ProofInput {
  readonly key: SigningKey;
  readonly token: string;
  /** Origin and path of the call. */
  readonly url: string;
  readonly nonce: string;
  /** Unix milliseconds. */
  readonly nowMs: number;
}

const ID_BYTES = 16;

/** A DPoP proof (RFC 9449 §4.2) for one call: a compact JWS by the node's Ed25519 key. */
export function makeProof({ key, token, url, nonce, nowMs }: ProofInput): string {
  const jwk = { kty: "OKP", crv: "Ed25519", x: base64url(key.publicKey) };
  const claims = {
    jti: base64url(systemRandom.bytes(ID_BYTES)),
    htm: "POST",
    htu: url,
    iat: Math.floor(nowMs / 1000),
    ath: base64url(sha256(token)),
    nonce,
  };
  const signed = `${encode({ alg: "EdDSA", typ: "dpop+jwt", jwk })}.${encode(claims)}`;
  return `${signed}.${base64url(key.sign(new TextEncoder().encode(signed)))}`;
}

function encode(part: object): string {
  return base64url(new TextEncoder().encode(JSON.stringify(part)));
}
