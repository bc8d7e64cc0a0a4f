import { createPublicKey, type X509Certificate } from "node:crypto";
import { isIP } from "node:net";
import { Problem } from "@gatehouse/core";
import { type KeySetDocument, keysFor } from "../keys/key-set-document.ts";

/**
 * Whether a server's TLS leaf is of the key set: signed by one of its TLS authorities, and for this host. Its dates are
 * not looked at: the caller's clock may be wrong, and a key set ends its authorities by naming others.
 */
export function isLeafOf(leaf: X509Certificate | undefined, keySet: KeySetDocument, origin: string): boolean {
  if (leaf === undefined) return false;
  const host = new URL(origin).hostname.replace(/^\[|\]$/g, "");
  const isForHost = (isIP(host) === 0 ? leaf.checkHost(host) : leaf.checkIP(host)) !== undefined;
  return isForHost && keysFor(keySet, "tls-ca").some(({ key }) => isSignedBy(leaf, key));
}

/** Fails with `server.untrusted` for a leaf that is not of the key set. */
export function verifyLeaf(leaf: X509Certificate | undefined, keySet: KeySetDocument, origin: string): void {
  if (!isLeafOf(leaf, keySet, origin)) throw untrustedLeaf();
}

export function untrustedLeaf(): Problem {
  return new Problem("server.untrusted", { detail: "Its certificate is not one of its key set for this host." });
}

/** Its identity key signed them, but nobody goes back: a backup that is put back twice opens the same epoch twice. */
export function replacedKeys(epoch: number, known: number): Problem {
  const detail = `Its keys are of epoch ${epoch}, and others of epoch ${known} are known here. Was a backup put back? Then open a further epoch there: gatehouse server recover.`;
  return new Problem("server.untrusted", { detail });
}

function isSignedBy(leaf: X509Certificate, spki: Uint8Array): boolean {
  try {
    return leaf.verify(createPublicKey({ key: Buffer.from(spki), format: "der", type: "spki" }));
  } catch {
    // Bytes that are no key have signed nothing.
    return false;
  }
}
