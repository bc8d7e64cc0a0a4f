import { generateKeyPairSync } from "node:crypto";
import { base64url } from "@gatehouse/core";
import { CompactSign } from "jose";
import { expect, test } from "vitest";
import { checkProof } from "../src/sessions/check-proof.ts";

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
    const seeOnce = async (hash: Uint8Array) => seen.push(hash) > 0;
    const deps = { macKey: new Uint8Array(32), now: () => 1_800_000_000_000, seeOnce };
    const subject = { proof, identityKey, url: "https://server.example/x", tokenSha256: new Uint8Array(32) };
    await expect(checkProof(subject, deps)).rejects.toMatchObject({ code: "auth.refused" });
    expect(seen).toEqual([]);
  },
);
