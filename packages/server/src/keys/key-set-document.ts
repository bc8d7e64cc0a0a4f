import { base64url, fromBase64url, type KeySet, type KeyUse, keySetTuple, Problem } from "@gatehouse/core";
import { verifySignature } from "@gatehouse/kit";

/** A key set with the identity key's signature, as it stands on disk and on the wire. Bytes are base64url. */
export interface KeySetDocument {
  readonly epoch: number;
  readonly issued_at: number;
  readonly keys: readonly { readonly use: KeyUse; readonly id: string; readonly key: string }[];
  readonly signature: string;
}

/** The document of a key set and its signature. */
export function describeKeySet({ epoch, issuedAt, keys }: KeySet, signature: Uint8Array): KeySetDocument {
  const described = keys.map(({ use, id, key }) => ({ use, id, key: base64url(key) }));
  return { epoch, issued_at: issuedAt, keys: described, signature: base64url(signature) };
}

/** Reads a document and checks that the identity key signed it. Fails with `state.corrupt`. */
export function readKeySet(text: string, identityKey: Uint8Array): KeySetDocument {
  const document = JSON.parse(text) as KeySetDocument;
  const keys = document.keys.map(({ use, id, key }) => ({ use, id, key: fromBase64url(key) ?? new Uint8Array() }));
  const tuple = keySetTuple(identityKey, { epoch: document.epoch, issuedAt: document.issued_at, keys });
  const signature = fromBase64url(document.signature) ?? new Uint8Array();
  if (!verifySignature(identityKey, tuple, signature)) {
    throw new Problem("state.corrupt", { detail: "The key set is not signed by this server's identity key." });
  }
  return document;
}
