import { expect, test } from "vitest";
import { MAX_PART_BYTES } from "../src/uplink/part-assembly.ts";
import { SealedPieces } from "../src/uplink/sealed-pieces.ts";

const piece = (sealed: string, total: number) => ({ sealed, sealedTotalBytes: BigInt(total) });

test("a sealed answer that came whole is taken as it is, and one in pieces once the last is there", () => {
  expect(new SealedPieces().take(piece("abc", 0))).toBe("abc");
  const pieces = new SealedPieces();
  expect([piece("ab", 5), piece("cd", 5), piece("e", 5)].map((one) => pieces.take(one))).toEqual([
    undefined,
    undefined,
    "abcde",
  ]);
});

test.each([
  ["more than was said", [piece("ab", 3), piece("cd", 3)]],
  ["another length in between", [piece("ab", 5), piece("cd", 6)]],
  ["a whole one in between", [piece("ab", 5), piece("cd", 0)]],
  ["nothing", [piece("", 5)]],
  ["more than a host holds", [piece("ab", MAX_PART_BYTES + 1)]],
  ["a length that is shorter in bytes", [piece("\u00e9\u00e9", 3)]],
])("pieces are refused: %s", (_, answers) => {
  const pieces = new SealedPieces();
  for (const one of answers.slice(0, -1)) expect(pieces.take(one)).toBeUndefined();
  expect(() => pieces.take(answers.at(-1) ?? piece("", 1))).toThrow(
    expect.objectContaining({ code: "server.untrusted" }),
  );
});
