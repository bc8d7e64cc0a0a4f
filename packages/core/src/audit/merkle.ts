/** SHA-256, given by the platform. */
export type Hash = (bytes: Uint8Array) => Uint8Array;

/** Hash of a leaf's bytes (RFC 9162 §2.1.1). */
export function leafHash(hash: Hash, bytes: Uint8Array): Uint8Array {
  return hash(concat(Uint8Array.of(0), bytes));
}

function nodeHash(hash: Hash, left: Uint8Array, right: Uint8Array): Uint8Array {
  return hash(concat(Uint8Array.of(1), left, right));
}

/**
 * Grows a tree one leaf at a time and knows the root of every size it passed, in memory logarithmic in its size: the
 * roots of its complete subtrees, largest first.
 */
export class MerkleFrontier {
  readonly #hash: Hash;
  readonly #subtrees: { readonly size: number; readonly root: Uint8Array }[] = [];
  #size = 0;

  constructor(hash: Hash) {
    this.#hash = hash;
  }

  get size(): number {
    return this.#size;
  }

  append(leaf: Uint8Array): void {
    let grown = { size: 1, root: leaf };
    for (let last = this.#subtrees.at(-1); last?.size === grown.size; last = this.#subtrees.at(-1)) {
      this.#subtrees.pop();
      grown = { size: grown.size * 2, root: nodeHash(this.#hash, last.root, grown.root) };
    }
    this.#subtrees.push(grown);
    this.#size += 1;
  }

  /** Root over all leaves so far; the hash of nothing for an empty tree. */
  root(): Uint8Array {
    const [smallest, ...larger] = this.#subtrees.toReversed();
    if (smallest === undefined) return this.#hash(new Uint8Array());
    return larger.reduce((right, { root }) => nodeHash(this.#hash, root, right), smallest.root);
  }
}

/** Root over the leaf hashes. */
export function merkleRoot(hash: Hash, leaves: readonly Uint8Array[]): Uint8Array {
  const tree = new MerkleFrontier(hash);
  for (const leaf of leaves) tree.append(leaf);
  return tree.root();
}

/** Inclusion proof of the leaf at `index` in the tree over `leaves` (RFC 9162 §2.1.3.1), from the leaf upwards. */
export function inclusionProof(hash: Hash, leaves: readonly Uint8Array[], index: number): readonly Uint8Array[] {
  if (index < 0 || index >= leaves.length) throw new RangeError("no such leaf");
  if (leaves.length === 1) return [];
  const split = largestPowerBelow(leaves.length);
  const left = leaves.slice(0, split);
  const right = leaves.slice(split);
  return index < split
    ? [...inclusionProof(hash, left, index), merkleRoot(hash, right)]
    : [...inclusionProof(hash, right, index - split), merkleRoot(hash, left)];
}

/** Where a leaf is said to stand. */
export interface Inclusion {
  readonly leaf: Uint8Array;
  readonly index: number;
  readonly size: number;
  readonly path: readonly Uint8Array[];
}

/** Root that an inclusion proof leads to (RFC 9162 §2.1.3.2), or `undefined` when the proof has another shape. */
export function rootOfInclusion(hash: Hash, { leaf, index, size, path }: Inclusion): Uint8Array | undefined {
  if (!Number.isSafeInteger(index) || index < 0 || index >= size) return undefined;
  let node = index;
  let last = size - 1;
  let root = leaf;
  for (const sibling of path) {
    if (last === 0) return undefined;
    if (node % 2 === 1 || node === last) {
      root = nodeHash(hash, sibling, root);
      // Up to the first level where the node is a right child: the levels between have no sibling.
      const skipped = levelsBelowRightChild(node);
      node = Math.floor(node / 2 ** skipped);
      last = Math.floor(last / 2 ** skipped);
    } else root = nodeHash(hash, root, sibling);
    node = Math.floor(node / 2);
    last = Math.floor(last / 2);
  }
  return last === 0 ? root : undefined;
}

function levelsBelowRightChild(node: number): number {
  let levels = 0;
  for (let rest = node; rest !== 0 && rest % 2 === 0; rest /= 2) levels += 1;
  return levels;
}

function largestPowerBelow(size: number): number {
  let power = 1;
  while (power * 2 < size) power *= 2;
  return power;
}

function concat(...parts: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let offset = 0;
  for (const part of parts) {
    bytes.set(part, offset);
    offset += part.length;
  }
  return bytes;
}
