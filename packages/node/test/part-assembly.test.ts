import { create } from "@bufbuild/protobuf";
import { base64url } from "@gatehouse/core";
import { sha256 } from "@gatehouse/kit";
import { type BundleChunk, BundleChunkSchema } from "@gatehouse/wire";
import { expect, test } from "vitest";
import { MAX_PART_BYTES, PartAssembly } from "../src/uplink/part-assembly.ts";

const part = new TextEncoder().encode("a part that comes in chunks");
const hash = sha256(part);
const wanted = new Set([base64url(hash)]);
const chunk = (from: number, to: number, change: Partial<BundleChunk> = {}) =>
  create(BundleChunkSchema, {
    sha256: hash,
    totalBytes: BigInt(part.length),
    content: part.slice(from, to),
    ...change,
  });
const take = (chunks: readonly BundleChunk[]) => {
  const assembly = new PartAssembly();
  const whole = chunks.map((one) => assembly.take(one, wanted)).filter((one) => one !== undefined);
  assembly.end();
  return whole;
};

test("chunks in their order are the part, and another part may follow", () => {
  const once = [chunk(0, 10), chunk(10, 20), chunk(20, part.length)];
  expect(take([...once, ...once]).map((one) => new TextDecoder().decode(one))).toEqual(
    [part, part].map((one) => new TextDecoder().decode(one)),
  );
});

test.each([
  ["in another order", [chunk(10, 20), chunk(0, 10), chunk(20, part.length)]],
  ["with one of another part between", [chunk(0, 10), chunk(10, 20, { sha256: sha256("other") })]],
  ["that are more than was said", [chunk(0, 20), chunk(10, part.length)]],
  ["that end before the part does", [chunk(0, 20)]],
  ["of a length that changes", [chunk(0, 10), chunk(10, 20, { totalBytes: 99n })]],
  ["without content", [chunk(0, 0)]],
  ["of what the manifest does not name", [chunk(0, 10, { sha256: sha256("other") })]],
  ["of more than a part may be", [chunk(0, 10, { totalBytes: BigInt(MAX_PART_BYTES) + 1n })]],
])("chunks %s are refused", (_, chunks) => {
  expect(() => take(chunks)).toThrow(expect.objectContaining({ code: "bundle.refused" }));
});
