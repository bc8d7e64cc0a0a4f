import { base64url, fromBase64url, type KeySet, type KeyUse, keySetTuple, Problem } from "@gatehouse/core";
import { verifySignature } from "./signing-key.ts";

/** A key set with the identity key's signature, as it stands on disk and on the wire. Bytes are base64url. */
export interface KeySetDocument {
  readonly epoch: number;
  readonly issued_at: number;
  readonly keys: readonly { readonly use: KeyUse; readonly id: string; readonly key: string }[];
  readonly signature: string;
}

const MAX_KEYS = 256;

/** The document of a key set and its signature. */
export function describeKeySet({ epoch, issuedAt, keys }: KeySet, signature: Uint8Array): KeySetDocument {
  const described = keys.map(({ use, id, key }) => ({ use, id, key: base64url(key) }));
  return { epoch, issued_at: issuedAt, keys: described, signature: base64url(signature) };
}

/**
 * Takes parsed JSON for a key set when it has the form of one and the identity key signed it. Fails with
 * `server.untrusted`.
 */
export function checkKeySet(value: unknown, identityKey: Uint8Array): KeySetDocument {
  const document = value as KeySetDocument;
  if (!hasForm(document)) throw new Problem("server.untrusted", { detail: "Its key set cannot be read." });
  const keys = document.keys.map(({ use, id, key }) => ({ use, id, key: fromBase64url(key) ?? new Uint8Array() }));
  const tuple = keySetTuple(identityKey, { epoch: document.epoch, issuedAt: document.issued_at, keys });
  const signature = fromBase64url(document.signature) ?? new Uint8Array();
  if (verifySignature(identityKey, tuple, signature)) return document;
  throw new Problem("server.untrusted", { detail: "Its key set is not signed by its identity key." });
}

/** The keys of one use. */
export function keysFor(
  { keys }: KeySetDocument,
  use: KeyUse,
): readonly { readonly id: string; readonly key: Uint8Array }[] {
  return keys.flatMap((one) => {
    const key = one.use === use ? fromBase64url(one.key) : undefined;
    return key === undefined ? [] : [{ id: one.id, key }];
  });
}

function hasForm(document: KeySetDocument): boolean {
  if (typeof document !== "object" || document === null || !Array.isArray(document.keys)) return false;
  const isCounted = Number.isSafeInteger(document.epoch) && Number.isSafeInteger(document.issued_at);
  const areTexts = document.keys.every(({ use, id, key }) => [use, id, key].every((text) => typeof text === "string"));
  return isCounted && areTexts && document.keys.length <= MAX_KEYS && typeof document.signature === "string";
}
