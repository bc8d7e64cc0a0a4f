/** Bytes of a client that wait for their turn, in the order in which they came. */
export class WaitingBytes {
  #bytes: Buffer | undefined;

  get isEmpty(): boolean {
    return this.#bytes === undefined;
  }

  /** Adds what came last. */
  add(last: Buffer): void {
    this.#bytes = this.#bytes === undefined ? last : Buffer.concat([this.#bytes, last]);
  }

  /** Puts back what was read too far. */
  putBack(first: Buffer | undefined): void {
    if (first === undefined || first.length === 0) return;
    this.#bytes = this.#bytes === undefined ? first : Buffer.concat([first, this.#bytes]);
  }

  /** Everything that waits; nothing does afterwards. */
  take(): Buffer | undefined {
    const bytes = this.#bytes;
    this.#bytes = undefined;
    return bytes;
  }
}
