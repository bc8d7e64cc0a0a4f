/**
 * Something of which a worker has so much for everybody. Whoever holds as much as is left gets no more, so that one who
 * gives nothing back leaves room for the others: the first may hold a half, the next a quarter.
 */
export class FairShares {
  #free: number;
  readonly #held = new Map<string, number>();

  constructor(amount: number) {
    this.#free = amount;
  }

  /** A share of a holder's, of nothing yet. */
  open(holder: string): Share {
    return new Share((change) => this.#change(holder, change));
  }

  #change(holder: string, change: number): boolean {
    const held = (this.#held.get(holder) ?? 0) + change;
    if (change > 0 && held > this.#free) return false;
    this.#free -= change;
    if (held === 0) this.#held.delete(holder);
    else this.#held.set(holder, held);
    return true;
  }
}

/** What is held at one place. Disposing gives it back. */
export class Share implements Disposable {
  readonly #change: (change: number) => boolean;
  #amount = 0;

  constructor(change: (change: number) => boolean) {
    this.#change = change;
  }

  /** Holds this much from now on. `false`: there is no more for this holder, and it holds what it held. */
  resize(amount: number): boolean {
    if (amount === this.#amount) return true;
    if (!this.#change(amount - this.#amount)) return false;
    this.#amount = amount;
    return true;
  }

  [Symbol.dispose](): void {
    this.resize(0);
  }
}
