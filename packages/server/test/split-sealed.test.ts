import { expect, test } from "vitest";
import { splitSealed } from "../src/enrollment/split-sealed.ts";

const LONG = "0123456789abcdef".repeat(40_000);

test("a long sealed answer goes in pieces to a host that takes them, and whole to one of a release before", () => {
  const pieces = [...splitSealed(LONG, true)];
  expect(pieces.map(({ sealed }) => sealed.length)).toEqual([262_144, 262_144, 115_712]);
  expect(pieces.map(({ sealed }) => sealed).join("")).toBe(LONG);
  expect(new Set(pieces.map((piece) => ("sealedTotalBytes" in piece ? piece.sealedTotalBytes : 0n)))).toEqual(
    new Set([640_000n]),
  );
  expect([...splitSealed(LONG, false)]).toEqual([{ sealed: LONG }]);
  expect([...splitSealed("short", true)]).toEqual([{ sealed: "short" }]);
  expect([...splitSealed("", true)]).toEqual([{ sealed: "" }]);
});
