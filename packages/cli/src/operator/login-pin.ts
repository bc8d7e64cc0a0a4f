import { base64url, fromBase64url, PIN_BYTES, Problem } from "@gatehouse/core";
import { orgPin, sha256 } from "@gatehouse/kit";
import type { OperatorServer } from "./operator-files.ts";

/** What a new machine needs to know the server and the organisation by, before either says anything. */
export interface LoginPin {
  /** Of the server's identity key, the organisation and its signing key. */
  readonly org: Uint8Array;
  /** Of the key that every credential is sealed to as well. */
  readonly encryption: Uint8Array;
}

/** `<22 characters>.<22 characters>`: no secret, and worth as much as the way on which it comes. */
export function formatLoginPin({ identityKey, orgId, orgKey, orgEncryptionKey }: OperatorServer): string {
  return `${base64url(orgPin(identityKey, orgId, orgKey))}.${base64url(encryptionPin(orgEncryptionKey))}`;
}

/** Fails with `usage.invalid`. */
export function parseLoginPin(text: string): LoginPin {
  const [org, encryption, ...rest] = text.split(".").map((part) => fromBase64url(part));
  if (org?.length !== PIN_BYTES || encryption?.length !== PIN_BYTES || rest.length > 0) {
    throw new Problem("usage.invalid", { detail: "--pin is what gatehouse org pin prints on a member's machine." });
  }
  return { org, encryption };
}

export function encryptionPin(orgEncryptionKey: Uint8Array): Uint8Array {
  return sha256(orgEncryptionKey).subarray(0, PIN_BYTES);
}
