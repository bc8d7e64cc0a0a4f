import { generateKeyPairSync, sign } from "node:crypto";
import { base64url } from "@gatehouse/core";
import { sha256 } from "@gatehouse/kit";
import { CompactSign } from "jose";
import { expect, test } from "vitest";
import { checkProof } from "../src/sessions/check-proof.ts";
import { issueNonce } from "../src/sessions/proof-nonce.ts";

const { publicKey, privateKey } = generateKeyPairSync("ed25519");
const { x = "" } = publicKey.export({ format: "jwk" });
const identityKey = new Uint8Array(Buffer.from(x, "base64url"));

test.each(["null", "[]", "1", '"text"', "true", "{", ""])(
  "a proof that holds %s, signed by the node's own key, is refused and no id of it is kept",
  async (payload) => {
    const jwk = { kty: "OKP", crv: "Ed25519", x: base64url(identityKey) };
    const proof = await new CompactSign(new TextEncoder().encode(payload))
      .setProtectedHeader({ alg: "EdDSA", typ: "dpop+jwt", jwk })
      .sign(privateKey);
    const seen: Uint8Array[] = [];
    const tx = { now: () => NOW, seeProof: async (hash: Uint8Array) => seen.push(hash) > 0 };
    const subject = { proof, identityKey, url: "https://server.example/x", tokenSha256: new Uint8Array(32) };
    await expect(checkProof(tx, subject, MAC_KEY)).rejects.toMatchObject({ code: "auth.refused" });
    expect(seen).toEqual([]);
  },
);

const URL = "https://server.example/x";
const NOW = 1_800_000_000_000;
const MAC_KEY = new Uint8Array(32);
const TOKEN = sha256("token");
const JWK = { kty: "OKP", crv: "Ed25519", x };
const HEADER = { alg: "EdDSA", typ: "dpop+jwt", jwk: JWK };
const CLAIMS = { htm: "POST", htu: URL, ath: base64url(TOKEN), jti: "once", nonce: issueNonce(MAC_KEY, NOW) };

test("a proof for this call is taken once", async () => {
  const proof = signed(HEADER, CLAIMS);
  expect(await judge(proof)).toEqual({ outcome: "taken", kept: 1 });
  expect(await judge(proof, new Set([key("once")]))).toEqual({ outcome: "auth.refused", kept: 1 });
});

test.each([
  ["another algorithm", { ...HEADER, alg: "none" }],
  ["another name of the algorithm", { ...HEADER, alg: "Ed25519" }],
  ["no algorithm", { typ: HEADER.typ, jwk: JWK }],
  ["another type", { ...HEADER, typ: "JWT" }],
  ["no key", { alg: "EdDSA", typ: "dpop+jwt" }],
  ["a key that is null", { ...HEADER, jwk: null }],
  ["another node's key", { ...HEADER, jwk: { ...JWK, x: base64url(new Uint8Array(32)) } }],
  ["another curve", { ...HEADER, jwk: { ...JWK, crv: "X25519" } }],
  ["an extension that must be understood", { ...HEADER, crit: ["exp"], exp: 1 }],
  ["a payload that is not encoded", { ...HEADER, b64: false }],
])("a header with %s is refused, and no id of it is kept", async (_, header) => {
  expect(await judge(signed(header, CLAIMS))).toEqual({ outcome: "auth.refused", kept: 0 });
});

test.each([
  ["a fourth part", (proof: string) => `${proof}.AAAA`],
  ["no signature", (proof: string) => proof.slice(0, proof.lastIndexOf(".") + 1)],
  ["a padded signature", (proof: string) => `${proof}==`],
  ["a signature with another spelling of its last bits", (proof: string) => respell(proof)],
  ["a signature in the other alphabet", (proof: string) => `${proof.slice(0, -4)}+/+/`],
  ["white space around it", (proof: string) => ` ${proof}`],
  ["another payload", (proof: string) => proof.replace(/\.[^.]+\./, `.${encode({ ...CLAIMS, jti: "twice" })}.`)],
  ["more bytes than a proof has", (proof: string) => `${proof}${"A".repeat(4_096)}`],
])("a proof with %s is refused, and no id of it is kept", async (_, spoil) => {
  expect(await judge(spoil(signed(HEADER, CLAIMS)))).toEqual({ outcome: "auth.refused", kept: 0 });
});

function encode(value: object): string {
  return base64url(new TextEncoder().encode(JSON.stringify(value)));
}

function signed(header: object, claims: object): string {
  const text = `${encode(header)}.${encode(claims)}`;
  return `${text}.${base64url(sign(null, Buffer.from(text), privateKey))}`;
}

/** 64 bytes end in four bits that mean nothing: the same bytes, spelt otherwise. */
function respell(proof: string): string {
  const last = proof.at(-1) ?? "";
  const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  return `${proof.slice(0, -1)}${alphabet[alphabet.indexOf(last) + 1]}`;
}

function key(id: string): string {
  return base64url(sha256(identityKey, id));
}

async function judge(proof: string, kept = new Set<string>()) {
  const seeProof = async (hash: Uint8Array) => {
    const isNew = !kept.has(base64url(hash));
    kept.add(base64url(hash));
    return isNew;
  };
  const subject = { proof, identityKey, url: URL, tokenSha256: TOKEN };
  const outcome = await checkProof({ now: () => NOW, seeProof }, subject, MAC_KEY).then(
    () => "taken",
    (failure: { readonly code: string }) => failure.code,
  );
  return { outcome, kept: kept.size };
}
