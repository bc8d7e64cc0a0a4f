import { matchPath, parsePathPattern } from "@gatehouse/core";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { refuseConflicts } from "../../src/credentials/refuse-conflicts.ts";
import type { Injection } from "../../src/snapshot/run-snapshot.ts";

const ONE: Injection = {
  grant: "one",
  credential: undefined,
  host: "api.example.test",
  methods: undefined,
  paths: undefined,
  header: "authorization",
  value: "Bearer one",
  allowCleartext: false,
};
const TWO: Injection = { ...ONE, grant: "two", value: "Bearer two" };

describe("two values for one header are refused", () => {
  test.each<[string, Partial<Injection>, Partial<Injection>]>([
    ["on the same host", {}, {}],
    ["on one host in two spellings", {}, { host: "API.example.test." }],
    ["below the same suffix", { host: "*.example.test" }, { host: "*.example.test" }],
    ["where one has every path", {}, { paths: ["/api/**"] }],
    ["where a path falls under both patterns", { paths: ["/*/b"] }, { paths: ["/a/**"] }],
    ["where a method is shared", { methods: ["GET", "POST"] }, { methods: ["POST"] }],
  ])("%s", (_, one, two) => {
    const conflict = expect.objectContaining({ code: "runs.credential_conflict" });
    expect(() =>
      refuseConflicts([
        { ...ONE, ...one },
        { ...TWO, ...two },
      ]),
    ).toThrowError(conflict);
  });
});

describe("two values for one header live beside one another", () => {
  test.each<[string, Partial<Injection>, Partial<Injection>]>([
    ["in two headers", {}, { header: "x-key" }],
    ["on two hosts", {}, { host: "other.example.test" }],
    ["where one is more specific by its port", {}, { host: "api.example.test:8443" }],
    ["where one is more specific than a wildcard", {}, { host: "*.example.test" }],
    ["on paths that never meet", { paths: ["/a/**"] }, { paths: ["/b/**", "/c"] }],
    ["on methods that differ", { methods: ["GET"] }, { methods: ["POST"] }],
    ["when they are the same value", { value: "Bearer two" }, {}],
  ])("%s", (_, one, two) => {
    expect(() =>
      refuseConflicts([
        { ...ONE, ...one },
        { ...TWO, ...two },
      ]),
    ).not.toThrow();
  });
});

test("patterns with many wildcards are compared in time", () => {
  const many = (last: string) => [`/${Array.from({ length: 100 }, () => "**").join("/")}/${last}`];
  expect(() =>
    refuseConflicts([
      { ...ONE, paths: many("a") },
      { ...TWO, paths: many("b") },
    ]),
  ).not.toThrow();
});

test("whenever a path falls under both patterns, they are in conflict", () => {
  const segment = fc.constantFrom("a", "b", "*", "**");
  const pattern = fc.array(segment, { maxLength: 4 }).map((segments) => `/${segments.join("/")}`);
  const path = fc.array(fc.constantFrom("a", "b"), { maxLength: 5 }).map((segments) => `/${segments.join("/")}`);
  fc.assert(
    fc.property(pattern, pattern, path, (one, two, target) => {
      const compiled = [one, two].map(parsePathPattern);
      fc.pre(compiled.every((each) => each !== undefined && matchPath(each, target)));
      expect(() =>
        refuseConflicts([
          { ...ONE, paths: [one] },
          { ...TWO, paths: [two] },
        ]),
      ).toThrow();
    }),
    { numRuns: 300 },
  );
});
