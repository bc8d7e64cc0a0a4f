import { createHash } from "node:crypto";
import { expect, test } from "vitest";
import {
  consistencyRanges,
  hashLeaf,
  hashNode,
  inclusionRanges,
  MerkleFrontier,
  ProofBuilder,
  rootOfInclusion,
  rootsOfConsistency,
} from "../../src/index.ts";

const hash = (data: string | Uint8Array) => new Uint8Array(createHash("sha256").update(data).digest());
const SIZE = 40;
const LEAVES = Array.from({ length: SIZE }, (_, index) => hashLeaf(hash, `leaf ${index}`));
const OTHER = hashLeaf(hash, "another");

/** MTH as RFC 9162 §2.1.1 writes it. */
function rootOf(leaves: readonly Uint8Array[]): Uint8Array {
  const [only] = leaves;
  if (only === undefined) return hash("");
  if (leaves.length === 1) return only;
  const split = 2 ** Math.floor(Math.log2(leaves.length - 1));
  return hashNode(hash, rootOf(leaves.slice(0, split)), rootOf(leaves.slice(split)));
}

function prove(ranges: Parameters<typeof builderOf>[0], leaves: readonly Uint8Array[]): readonly Uint8Array[] {
  const builder = builderOf(ranges);
  for (const [index, leaf] of leaves.entries()) builder.add(index, leaf);
  return builder.proof() ?? [];
}

function builderOf(ranges: ConstructorParameters<typeof ProofBuilder>[1]): ProofBuilder {
  return new ProofBuilder(hash, ranges);
}

test("a frontier has the root of the whole tree at every size, also after it was stored", () => {
  let frontier = new MerkleFrontier(hash);
  for (const [size, leaf] of LEAVES.entries()) {
    expect(frontier.root()).toEqual(rootOf(LEAVES.slice(0, size)));
    frontier = new MerkleFrontier(hash, { size: frontier.size, peaks: frontier.peaks });
    frontier.append(leaf);
  }
  expect(() => new MerkleFrontier(hash, { size: 3, peaks: frontier.peaks.slice(0, 1) })).toThrow(RangeError);
});

test("every leaf of every tree is proven, and by its proof no other leaf, place or size", () => {
  for (let size = 1; size <= SIZE; size += 1) {
    const root = rootOf(LEAVES.slice(0, size));
    for (let index = 0; index < size; index += 1) {
      const path = prove(inclusionRanges(index, size), LEAVES.slice(0, size));
      const [leafHash = OTHER] = LEAVES.slice(index);
      expect(rootOfInclusion(hash, { leafHash, index, size, path })).toEqual(root);
      expect(rootOfInclusion(hash, { leafHash: OTHER, index, size, path })).not.toEqual(root);
      expect(rootOfInclusion(hash, { leafHash, index, size, path: [...path, OTHER] })).toBeUndefined();
      expect(rootOfInclusion(hash, { leafHash, index: size, size, path })).toBeUndefined();
      for (let other = 0; other < size; other += 1) {
        if (other !== index) expect(rootOfInclusion(hash, { leafHash, index: other, size, path })).not.toEqual(root);
      }
    }
  }
});

test("every tree is proven to begin with every smaller one, and with no other", () => {
  for (let size = 1; size <= SIZE; size += 1) {
    const root = rootOf(LEAVES.slice(0, size));
    for (let before = 1; before <= size; before += 1) {
      const proof = prove(consistencyRanges(before, size), LEAVES.slice(0, size));
      const rootBefore = rootOf(LEAVES.slice(0, before));
      expect(rootsOfConsistency(hash, { before, rootBefore, size, proof })).toEqual({
        before: rootBefore,
        after: root,
      });
      if (before === size) continue;
      const forged = rootsOfConsistency(hash, { before, rootBefore: OTHER, size, proof });
      expect({ before: OTHER, after: root }).not.toEqual(forged);
      expect(rootsOfConsistency(hash, { before, rootBefore, size, proof: proof.slice(1) })).toBeUndefined();
      const changed = proof.map((one, at) => (at === 0 ? OTHER : one));
      expect(rootsOfConsistency(hash, { before, rootBefore, size, proof: changed })).not.toEqual({
        before: rootBefore,
        after: root,
      });
    }
  }
});

test("a proof that lacks leaves is none", () => {
  expect(builderOf(inclusionRanges(0, 4)).proof()).toBeUndefined();
});
