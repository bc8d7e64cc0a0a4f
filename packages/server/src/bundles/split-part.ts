import type { HashedPart } from "./hashed-part.ts";

/** What one message of a part holds at most, for a caller that takes chunks. */
const CHUNK_BYTES = 262_144;

type Part = Pick<HashedPart, "sha256" | "content">;

/** The messages of a part: whole where it fits into one, or where the caller knows no chunks. Nothing is copied. */
export function* splitPart({ sha256, content }: Part, takesChunks: boolean) {
  if (!takesChunks || content.length <= CHUNK_BYTES) {
    yield { item: { case: "part" as const, value: { sha256, content } } };
    return;
  }
  const totalBytes = BigInt(content.length);
  for (let at = 0; at < content.length; at += CHUNK_BYTES) {
    const value = { sha256, totalBytes, content: content.subarray(at, at + CHUNK_BYTES) };
    yield { item: { case: "chunk" as const, value } };
  }
}
