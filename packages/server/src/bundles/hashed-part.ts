import { type BundlePart, sha256 } from "@gatehouse/kit";

/** A part of a bundle as it is sent, and the hash by which the manifest names it. */
export interface HashedPart extends Pick<BundlePart, "kind" | "id" | "version"> {
  readonly sha256: Uint8Array;
  readonly content: Uint8Array;
}

export function hashPart({ kind, id, version, content: text }: BundlePart): HashedPart {
  const content = new TextEncoder().encode(text);
  return { kind, id, version, content, sha256: sha256(content) };
}
