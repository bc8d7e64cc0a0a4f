import { base64url, Problem } from "@gatehouse/core";
import { sha256 } from "@gatehouse/kit";
import type { BundleChunk } from "@gatehouse/wire";

/** A roster of 100,000 nodes is half of it. */
export const MAX_PART_BYTES = 64 * 1_048_576;

/**
 * Puts a part together that comes in chunks: one part at a time, each chunk after the one before. What the manifest does
 * not name, or is longer than it said or may be, is refused before it is held. Fails with `bundle.refused`.
 */
export class PartAssembly {
  #hash: string | undefined;
  #totalBytes = 0;
  #heldBytes = 0;
  #chunks: Uint8Array[] = [];

  /** Answers the part with its last chunk. */
  take({ sha256: named, totalBytes, content }: BundleChunk, wanted: ReadonlySet<string>): Uint8Array | undefined {
    const [hash, total] = [base64url(named), Number(totalBytes)];
    if (this.#hash === undefined) this.#begin(hash, total, wanted);
    const after = this.#heldBytes + content.length;
    if (hash !== this.#hash || total !== this.#totalBytes || content.length === 0 || after > total) throw refused();
    this.#chunks.push(content);
    this.#heldBytes = after;
    return after === total ? this.#finish() : undefined;
  }

  /** Fails where a part is not whole. */
  end(): void {
    if (this.#hash !== undefined) throw refused();
  }

  #begin(hash: string, total: number, wanted: ReadonlySet<string>): void {
    if (!wanted.has(hash) || total > MAX_PART_BYTES) throw refused();
    this.#hash = hash;
    this.#totalBytes = total;
  }

  #finish(): Uint8Array {
    const whole = Buffer.concat(this.#chunks);
    if (base64url(sha256(whole)) !== this.#hash) throw refused();
    this.#hash = undefined;
    this.#heldBytes = 0;
    this.#chunks = [];
    return whole;
  }
}

function refused(): Problem {
  return new Problem("bundle.refused", { detail: "A part came in chunks that are not those of its name." });
}
