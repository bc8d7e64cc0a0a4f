import { constantTimeEqual, fromBase64url, Problem, wellKnownTuple } from "@gatehouse/core";
import { checkKeySet, type KeySetDocument, keysFor } from "../keys/key-set-document.ts";
import { verifySignature } from "../keys/signing-key.ts";
import { orgPin, setupPin } from "./pins.ts";

/** Who a server is, as its well-known answer proves it for one connection. */
export interface ServerIdentity {
  readonly serverTime: number;
  /** Empty for a set-up pin. */
  readonly orgId: string;
  readonly identityKey: Uint8Array;
  /** Empty for a set-up pin. */
  readonly orgKey: Uint8Array;
  readonly keySet: KeySetDocument;
}

/** What the answer must be about. */
export interface ExpectedAnswer {
  readonly origin: string;
  readonly nonce: string;
  readonly pin: Uint8Array;
  /** SHA-256 of the SPKI of the leaf that the connection showed. */
  readonly tlsSpkiSha256: Uint8Array;
}

/**
 * Checks a well-known answer: pin, origin, nonce and the connection's own TLS key, all under keys that the identity key
 * signed. Whatever does not fit fails with `server.untrusted`: somebody stands between, or it is another server.
 */
export function checkWellKnown(answer: unknown, expected: ExpectedAnswer): ServerIdentity {
  const fields = (typeof answer === "object" && answer !== null ? answer : {}) as Readonly<Record<string, unknown>>;
  const identityKey = bytes(fields.server_identity_key);
  const orgKey = bytes(fields.org_key);
  const orgId = text(fields.org_id);
  const serverTime = Number(fields.server_time);
  if (fields.version !== 1 || !Number.isSafeInteger(serverTime)) throw untrusted("Its answer cannot be read.");
  const isSetup = orgId === "" && orgKey.length === 0;
  const pin = isSetup ? setupPin(identityKey) : orgPin(identityKey, orgId, orgKey);
  if (!constantTimeEqual(pin, expected.pin)) {
    throw untrusted("Its keys are not those of the code's pin.");
  }
  if (fields.origin !== expected.origin)
    throw untrusted("It calls itself by another URL, the one of its --url: ask for it there.");
  const { nonce, tlsSpkiSha256, origin } = expected;
  const isBound = fields.nonce === nonce && constantTimeEqual(bytes(fields.tls_spki_sha256), tlsSpkiSha256);
  if (!isBound) throw untrusted("Somebody stands between: the connection's key is another.");
  const keySet = checkKeySet(fields.key_set, identityKey);
  const known = { origin, nonce, serverTime, orgId, serverIdentityKey: identityKey, orgKey, tlsSpkiSha256 };
  const signature = bytes(fields.signature);
  const isSigned = keysFor(keySet, "channel").some(({ key }) => verifySignature(key, wellKnownTuple(known), signature));
  if (!isSigned) throw untrusted("Its answer is not signed.");
  return { serverTime, orgId, identityKey, orgKey, keySet };
}

function bytes(value: unknown): Uint8Array {
  return (typeof value === "string" ? fromBase64url(value) : undefined) ?? new Uint8Array();
}

function text(value: unknown): string {
  return typeof value === "string" ? value : "";
}

function untrusted(detail: string): Problem {
  return new Problem("server.untrusted", { detail });
}
