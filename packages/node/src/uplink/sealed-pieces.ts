import { Problem } from "@gatehouse/core";
import type { AwaitConfirmationResponse } from "@gatehouse/wire";
import { MAX_PART_BYTES } from "./part-assembly.ts";

/** Puts a sealed answer together that comes in pieces. What they make is proven when it is opened. */
export class SealedPieces {
  readonly #pieces: string[] = [];
  #totalBytes: number | undefined;
  #heldBytes = 0;

  /** Answers the whole with its last piece. Fails with `server.untrusted`. */
  take({
    sealed,
    sealedTotalBytes,
  }: Pick<AwaitConfirmationResponse, "sealed" | "sealedTotalBytes">): string | undefined {
    const total = Number(sealedTotalBytes);
    if (this.#totalBytes === undefined && total === 0) return sealed;
    this.#totalBytes ??= total;
    this.#heldBytes += Buffer.byteLength(sealed);
    const fits = total <= MAX_PART_BYTES && total === this.#totalBytes && this.#heldBytes <= total;
    if (!fits || sealed === "")
      throw new Problem("server.untrusted", { detail: "Its answer came in pieces of another." });
    this.#pieces.push(sealed);
    return this.#heldBytes === total ? this.#pieces.join("") : undefined;
  }
}
