import { type Hash, hashNode, type LeafRange, MerkleFrontier } from "./merkle-tree.ts";

/** The subtrees whose roots prove that leaf `index` is in a tree of `size` leaves (RFC 9162 §2.1.3.1), in path order. */
export function inclusionRanges(index: number, size: number): readonly LeafRange[] {
  const ranges: LeafRange[] = [];
  let from = 0;
  let to = size;
  while (to - from > 1) {
    const middle = from + splitOf(to - from);
    if (index < middle) {
      ranges.push({ from: middle, to });
      to = middle;
    } else {
      ranges.push({ from, to: middle });
      from = middle;
    }
  }
  return ranges.reverse();
}

/** The subtrees whose roots prove that a tree of `size` leaves begins with one of `before` (RFC 9162 §2.1.4.1). */
export function consistencyRanges(before: number, size: number): readonly LeafRange[] {
  if (before === 0 || before === size) return [];
  const ranges: LeafRange[] = [];
  let from = 0;
  let to = size;
  while (to > before) {
    const middle = from + splitOf(to - from);
    if (before <= middle) {
      ranges.push({ from: middle, to });
      to = middle;
    } else {
      ranges.push({ from, to: middle });
      from = middle;
    }
  }
  // The old tree itself is known to whoever asks; any other subtree at the end is told.
  return (from === 0 ? ranges : [...ranges, { from, to }]).reverse();
}

/** The whole subtrees of a tree of `size` leaves, whose roots are its peaks: the largest first. */
export function peakRanges(size: number): readonly LeafRange[] {
  const ranges: LeafRange[] = [];
  for (let from = 0; from < size; ) {
    const to = from + largestPower(size - from);
    ranges.push({ from, to });
    from = to;
  }
  return ranges;
}

/** Computes the roots of disjoint ranges while every leaf passes once, in order; keeps one frontier at a time. */
export class ProofBuilder {
  readonly #hash: Hash;
  readonly #ranges: readonly LeafRange[];
  readonly #open: readonly LeafRange[];
  readonly #roots = new Map<LeafRange, Uint8Array>();
  #at = 0;
  #frontier: MerkleFrontier;

  constructor(hash: Hash, ranges: readonly LeafRange[]) {
    this.#hash = hash;
    this.#ranges = ranges;
    this.#open = [...ranges].sort((a, b) => a.from - b.from);
    this.#frontier = new MerkleFrontier(hash);
  }

  /** Takes leaf `index`; those outside every range are passed over. */
  add(index: number, leafHash: Uint8Array): void {
    const range = this.#open[this.#at];
    if (range === undefined || index < range.from) return;
    this.#frontier.append(leafHash);
    if (index + 1 < range.to) return;
    this.#roots.set(range, this.#frontier.root());
    this.#frontier = new MerkleFrontier(this.#hash);
    this.#at += 1;
  }

  /** The proof, in the order in which the ranges were given; `undefined` while leaves are missing. */
  proof(): readonly Uint8Array[] | undefined {
    const roots = this.#ranges.flatMap((range) => this.#roots.get(range) ?? []);
    return roots.length === this.#ranges.length ? roots : undefined;
  }
}

/** What an inclusion proof says. */
export interface Inclusion {
  readonly leafHash: Uint8Array;
  readonly index: number;
  readonly size: number;
  readonly path: readonly Uint8Array[];
}

/** The root that an inclusion proof leads to (RFC 9162 §2.1.3.2); `undefined` when it has not the form of one. */
export function rootOfInclusion(hash: Hash, { leafHash, index, size, path }: Inclusion): Uint8Array | undefined {
  if (!isCount(index) || !isCount(size) || index >= size) return undefined;
  const ranges = inclusionRanges(index, size);
  if (path.length !== ranges.length) return undefined;
  return path.reduce((root, sibling, at) => {
    const isLeft = (ranges[at]?.from ?? 0) < index;
    return isLeft ? hashNode(hash, sibling, root) : hashNode(hash, root, sibling);
  }, leafHash);
}

/** What a consistency proof says. */
export interface Consistency {
  readonly before: number;
  readonly rootBefore: Uint8Array;
  readonly size: number;
  readonly proof: readonly Uint8Array[];
}

/**
 * The two roots that a consistency proof leads to (RFC 9162 §2.1.4.2): they must be the two that were signed.
 * `undefined` when it has not the form of one.
 */
export function rootsOfConsistency(
  hash: Hash,
  { before, rootBefore, size, proof }: Consistency,
): { readonly before: Uint8Array; readonly after: Uint8Array } | undefined {
  if (!isCount(before) || !isCount(size) || before === 0 || before > size) return undefined;
  const ranges = consistencyRanges(before, size);
  if (proof.length !== ranges.length) return undefined;
  const [first, ...rest] = ranges.map((range, at) => ({ range, root: proof[at] ?? rootBefore }));
  if (first === undefined) return { before: rootBefore, after: rootBefore };
  // A proof whose first subtree ends where the old tree ends is of that tree's last part; else the old root is the
  // start.
  const isTold = first.range.to === before;
  const start = isTold ? first.root : rootBefore;
  let old = start;
  let now = start;
  for (const { range, root } of isTold ? rest : [first, ...rest]) {
    const isLeft = range.to <= before;
    if (isLeft) old = hashNode(hash, root, old);
    now = isLeft ? hashNode(hash, root, now) : hashNode(hash, now, root);
  }
  return { before: old, after: now };
}

function isCount(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0;
}

/** The largest power of two below `count`. */
function splitOf(count: number): number {
  return largestPower(count - 1);
}

/** The largest power of two that is not above `count`. */
function largestPower(count: number): number {
  let power = 1;
  while (power * 2 <= count) power *= 2;
  return power;
}
