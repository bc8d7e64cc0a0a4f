import { createPublicKey, type X509Certificate } from "node:crypto";
import { isIP } from "node:net";
import { Problem } from "@gatehouse/core";
import { type KeySetDocument, keysFor } from "../keys/key-set-document.ts";

/**
 * Holds a server's TLS leaf to the key set: signed by one of its TLS authorities, and for this host. Its dates are not
 * looked at: the caller's clock may be wrong, and a key set ends its authorities by naming others.
 */
export function verifyLeaf(leaf: X509Certificate | undefined, keySet: KeySetDocument, origin: string): void {
  const host = new URL(origin).hostname.replace(/^\[|\]$/g, "");
  const isForHost = leaf !== undefined && (isIP(host) === 0 ? leaf.checkHost(host) : leaf.checkIP(host)) !== undefined;
  const isSigned = leaf !== undefined && keysFor(keySet, "tls-ca").some(({ key }) => isSignedBy(leaf, key));
  if (!isForHost || !isSigned) {
    throw new Problem("server.untrusted", { detail: "Its certificate is not one of its key set for this host." });
  }
}

function isSignedBy(leaf: X509Certificate, spki: Uint8Array): boolean {
  try {
    return leaf.verify(createPublicKey({ key: Buffer.from(spki), format: "der", type: "spki" }));
  } catch {
    // Bytes that are no key have signed nothing.
    return false;
  }
}
