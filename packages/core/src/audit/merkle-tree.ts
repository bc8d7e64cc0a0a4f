/** SHA-256 of bytes, or of a text's UTF-8. Passed in: these rules run where there is no Node. */
export type Hash = (data: string | Uint8Array) => Uint8Array;

/** A half-open range of leaves. */
export interface LeafRange {
  readonly from: number;
  readonly to: number;
}

const HASH_BYTES = 32;
/** What a node's hash is over; filled anew for each, since a hash keeps nothing of what it was given. */
const NODE = Uint8Array.of(1, ...new Uint8Array(2 * HASH_BYTES));

/** The leaf hash of RFC 9162 §2.1.1: SHA-256(0x00 ‖ leaf). */
export function hashLeaf(hash: Hash, leaf: string): Uint8Array {
  return hash(`\u0000${leaf}`);
}

/** The node hash of RFC 9162 §2.1.1: SHA-256(0x01 ‖ left ‖ right). */
export function hashNode(hash: Hash, left: Uint8Array, right: Uint8Array): Uint8Array {
  NODE.set(left, 1);
  NODE.set(right, 1 + HASH_BYTES);
  return hash(NODE);
}

/**
 * A Merkle tree that only grows: of its leaves it keeps the roots of the whole subtrees, at most one for each power of
 * two, so a log of any length fits in a few hundred bytes.
 */
export class MerkleFrontier {
  readonly #hash: Hash;
  /** Largest subtree first. */
  readonly #peaks: Uint8Array[];
  #size: number;

  constructor(hash: Hash, stored: { readonly size: number; readonly peaks: readonly Uint8Array[] } = EMPTY) {
    if (stored.peaks.length !== onesOf(stored.size) || stored.peaks.some(({ length }) => length !== HASH_BYTES)) {
      throw new RangeError("these are not the peaks of a tree of this size");
    }
    this.#hash = hash;
    this.#peaks = [...stored.peaks];
    this.#size = stored.size;
  }

  get size(): number {
    return this.#size;
  }

  get peaks(): readonly Uint8Array[] {
    return [...this.#peaks];
  }

  append(leafHash: Uint8Array): void {
    let node = leafHash;
    // Halved, not shifted: a shift works on 32 bits.
    for (let rest = this.#size; rest % 2 === 1; rest = (rest - 1) / 2) {
      node = hashNode(this.#hash, this.#peaks.pop() ?? node, node);
    }
    this.#peaks.push(node);
    this.#size += 1;
  }

  /** MTH of RFC 9162 §2.1.1; of no leaves, the hash of nothing. */
  root(): Uint8Array {
    const [smallest, ...larger] = [...this.#peaks].reverse();
    if (smallest === undefined) return this.#hash("");
    return larger.reduce((right, left) => hashNode(this.#hash, left, right), smallest);
  }
}

const EMPTY = { size: 0, peaks: [] } as const;

function onesOf(size: number): number {
  return size.toString(2).replaceAll("0", "").length;
}
