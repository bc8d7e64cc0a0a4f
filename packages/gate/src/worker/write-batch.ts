import type { Socket } from "node:net";

/** What fits into one TLS record is copied together: one record and one system call cost more than the copy. */
const MAX_COPIED_BYTES = 16_384;

/** Pieces of a message that leave in one write. */
export class WriteBatch {
  readonly #socket: Socket;
  #first: Buffer | undefined;
  #more: Buffer[] | undefined;
  #bytes = 0;

  constructor(socket: Socket) {
    this.#socket = socket;
  }

  add(piece: Buffer): void {
    if (piece.length === 0) return;
    this.#bytes += piece.length;
    if (this.#first === undefined) this.#first = piece;
    else if (this.#more === undefined) this.#more = [this.#first, piece];
    else this.#more.push(piece);
  }

  /** Sends what was added since the last time. */
  flush(): void {
    const first = this.#first;
    if (first === undefined) return;
    const pieces = this.#more;
    const bytes = this.#bytes;
    this.#first = undefined;
    this.#more = undefined;
    this.#bytes = 0;
    if (pieces === undefined) this.#socket.write(first);
    else if (bytes <= MAX_COPIED_BYTES) this.#socket.write(Buffer.concat(pieces, bytes));
    else {
      this.#socket.cork();
      for (const piece of pieces) this.#socket.write(piece);
      this.#socket.uncork();
    }
  }
}
