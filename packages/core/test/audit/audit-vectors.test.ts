import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import {
  canonicalJson,
  consistencyRanges,
  fromHex,
  hashLeaf,
  headBytes,
  inclusionRanges,
  type JsonValue,
  MerkleFrontier,
  ProofBuilder,
  readCanonical,
  rootOfInclusion,
  rootsOfConsistency,
  toHex,
} from "../../src/index.ts";

interface Vectors {
  readonly canonical: readonly { readonly name: string; readonly value: JsonValue; readonly canonical: string }[];
  readonly refused: readonly { readonly name: string; readonly json: string }[];
  readonly tree: {
    readonly leaves: readonly string[];
    readonly leaf_hashes: readonly string[];
    /** By number of leaves, from none. */
    readonly roots: readonly string[];
    readonly inclusion: readonly { readonly index: number; readonly size: number; readonly path: readonly string[] }[];
    readonly consistency: readonly {
      readonly before: number;
      readonly size: number;
      readonly proof: readonly string[];
    }[];
  };
  readonly log: {
    readonly id: string;
    readonly heads: readonly {
      readonly size: number;
      readonly root: string;
      readonly time: number;
      readonly bytes: string;
    }[];
  };
}

const FOLDER = fileURLToPath(new URL("../../../../spec/vectors/", import.meta.url));
const { canonical, refused, tree, log }: Vectors = JSON.parse(readFileSync(join(FOLDER, "audit.json"), "utf8"));
const hash = (data: string | Uint8Array) => new Uint8Array(createHash("sha256").update(data).digest());
const leaves = tree.leaves.map((leaf) => hashLeaf(hash, leaf));
const bytes = (text: string) => fromHex(text) ?? new Uint8Array();

test.each(canonical)("canonical JSON: $name", ({ value, canonical: text }) => {
  expect(canonicalJson(value)).toBe(text);
  if (!Array.isArray(value)) expect(readCanonical(text)).toEqual(value);
});

test.each(refused)("refused as an entry's JSON: $name", ({ json }) => {
  expect(() => canonicalJson(JSON.parse(json))).toThrow(RangeError);
  expect(() => readCanonical(json)).toThrow(expect.objectContaining({ code: "audit.tampered" }));
});

test("leaf hashes and roots", () => {
  expect(leaves.map(toHex)).toEqual(tree.leaf_hashes);
  const frontier = new MerkleFrontier(hash);
  const roots = [toHex(frontier.root())];
  for (const leaf of leaves) {
    frontier.append(leaf);
    roots.push(toHex(frontier.root()));
  }
  expect(roots).toEqual(tree.roots);
});

test.each(tree.inclusion)("the path of leaf $index among $size", ({ index, size, path }) => {
  const builder = new ProofBuilder(hash, inclusionRanges(index, size));
  for (const [at, leaf] of leaves.entries()) builder.add(at, leaf);
  expect(builder.proof()?.map(toHex)).toEqual(path);
  const [leafHash = new Uint8Array()] = leaves.slice(index);
  const root = rootOfInclusion(hash, { leafHash, index, size, path: path.map(bytes) });
  expect(toHex(root ?? new Uint8Array())).toBe(tree.roots[size]);
});

test.each(tree.consistency)("the proof that $size leaves begin with $before", ({ before, size, proof }) => {
  const builder = new ProofBuilder(hash, consistencyRanges(before, size));
  for (const [at, leaf] of leaves.entries()) builder.add(at, leaf);
  expect(builder.proof()?.map(toHex)).toEqual(proof);
  const rootBefore = bytes(tree.roots[before] ?? "");
  const roots = rootsOfConsistency(hash, { before, rootBefore, size, proof: proof.map(bytes) });
  expect(toHex(roots?.before ?? new Uint8Array())).toBe(tree.roots[before]);
  expect(toHex(roots?.after ?? new Uint8Array())).toBe(tree.roots[size]);
});

test("the bytes that heads sign", () => {
  for (const { root, bytes: text, ...head } of log.heads) {
    expect(toHex(headBytes(log.id, { ...head, root: bytes(root) }))).toBe(text);
  }
});

const checker = () => spawnSync("python3", ["-B", join(FOLDER, "check_audit.py")], { encoding: "utf8" });

// A machine without Python still checks the vectors above; the release check runs the script itself.
describe.skipIf(checker().error !== undefined)("the checker that shares nothing with this code", () => {
  test("agrees with every vector", () => {
    const { status, stdout } = checker();
    const { inclusion, consistency, roots } = tree;
    const count =
      canonical.length + refused.length + roots.length + inclusion.length + consistency.length + log.heads.length + 1;
    expect({ status, stdout }).toEqual({ status: 0, stdout: `${count} of ${count} vectors hold\n` });
  });
});
