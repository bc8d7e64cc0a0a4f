import { base64url, type RosterNode } from "@gatehouse/core";
import type { SignedRoster } from "@gatehouse/kit";
import { expect, test } from "vitest";
import { chooseKept, compareRosters, joinedRoster } from "../src/operator/compare-rosters.ts";
import { standingOf } from "../src/operator/trusted-roster.ts";

const key = (mark: number) => new Uint8Array(32).fill(mark);
const node = (nodeId: string, mark = 1): RosterNode => {
  return { nodeId, identityKey: key(mark), encryptionKey: key(mark), caKey: key(mark) };
};
const roster = (version: number, nodes: readonly RosterNode[], operators: readonly number[] = []): SignedRoster => {
  const own = { orgId: "org", version, issuedAt: version, nodes, operatorKeys: operators.map(key) };
  return { ...own, signer: key(0), signature: new Uint8Array(64) };
};
const split = {
  first: roster(5, [node("both"), node("mine"), node("changed", 1), node("struck")], [1, 2]),
  second: roster(4, [node("both"), node("theirs"), node("changed", 2), node("struck")], [2, 3]),
  ended: ["struck"],
};
const compared = compareRosters(split);
const NO_NAMES: ReadonlyMap<string, string> = new Map();

test("what stands on one of two rosters alone, under other keys, or was ended, is on no join by itself", () => {
  const joined = joinedRoster(split, compared, new Set());
  expect(joined).toMatchObject({ version: 6, nodes: [{ nodeId: "both" }], operatorKeys: [key(2)] });
  expect(compared.differences.map(({ id, where }) => `${id} ${where}`)).toEqual([
    "mine first",
    "changed both",
    "struck ended",
    "theirs second",
    `${base64url(key(1))} first`,
    `${base64url(key(3))} second`,
  ]);
});

test("who is named stays: by id, by key, or by a name that this machine confirmed", () => {
  const names = new Map([["n9", "theirs"]]);
  const kept = chooseKept(compared.differences, ["mine", "n9", base64url(key(3))], names);
  const { nodes, operatorKeys } = joinedRoster(split, compared, kept);
  expect(nodes.map(({ nodeId }) => nodeId)).toEqual(["both", "mine", "theirs"]);
  expect(operatorKeys).toEqual([key(2), key(3)]);
});

test.each(["changed", "struck", "both", "unknown"])("%s cannot be named", (name) => {
  expect(() => chooseKept(compared.differences, [name], NO_NAMES)).toThrow(
    expect.objectContaining({ code: "usage.invalid" }),
  );
});

test("a server's roster that nobody signed who may has no standing", () => {
  for (const shown of [roster(4, [node("x")]), roster(5, [node("x")]), roster(9, [])]) {
    expect(() => standingOf({ ...shown, issuedAt: 9, signature: key(7) }, split.first, key(0))).toThrow(
      expect.objectContaining({ code: "roster.refused" }),
    );
  }
});
