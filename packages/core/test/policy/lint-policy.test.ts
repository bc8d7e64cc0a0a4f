import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { compilePolicy, lintPolicy, type PolicyRule, pathOf } from "../../src/index.ts";

const isSharedSuffix = (suffix: string) => suffix === "github.io" || suffix === "com";

function lint(policy: unknown) {
  return lintPolicy(policy, { isSharedSuffix }).map(({ level, code, path }) => `${level} ${code} ${path.join(".")}`);
}

const rules = (...some: readonly object[]) => ({
  mode: "strict",
  rules: some.map((rule) => ({ action: "allow", ...rule })),
});
const deny = { action: "deny", reason: "no" };

describe("a rule that decides nothing is found", () => {
  test.each<[string, unknown, readonly string[]]>([
    ["the same twice", rules({ hosts: ["a.test"] }, { hosts: ["a.test"] }), ["warning unreachable rules.1"]],
    [
      "behind a wildcard",
      rules({ hosts: ["*.test"] }, { hosts: ["x.a.test"], methods: ["GET"], paths: ["/x"] }),
      ["warning unreachable rules.1"],
    ],
    [
      "behind several that take it together",
      rules(
        { hosts: ["a.test"], methods: ["GET"] },
        { hosts: ["b.test"] },
        { hosts: ["a.test", "b.test"], methods: ["GET"] },
      ),
      ["warning unreachable rules.2"],
    ],
    [
      "denied before",
      rules({ ...deny, hosts: ["a.test"] }, { hosts: ["a.test"], paths: ["/x"] }),
      ["error contradiction rules.1"],
    ],
    [
      "allowed before",
      rules({ hosts: ["a.test"] }, { ...deny, hosts: ["a.test"], methods: ["DELETE"] }),
      ["error contradiction rules.1"],
    ],
    [
      "a listed host that a rule denies",
      { allow: ["a.test"], rules: [{ ...deny, hosts: ["*.test"] }] },
      ["error contradiction allow.0"],
    ],
    [
      "a listed host with its port, behind a refusal of every host",
      { allow: ["a.test:8443"], rules: [{ ...deny, hosts: ["*"] }] },
      ["error contradiction allow.0"],
    ],
    [
      "one host of two",
      rules({ hosts: ["a.test"] }, { hosts: ["a.test", "b.test"] }),
      ["warning unreachable-part rules.1.hosts.0"],
    ],
    [
      "one path of two",
      rules({ hosts: ["a.test"], paths: ["/x/**"] }, { hosts: ["a.test"], paths: ["/x/y", "/z"] }),
      ["warning unreachable-part rules.1.paths.0"],
    ],
    [
      "one method of two",
      rules({ hosts: ["a.test"], methods: ["get"] }, { hosts: ["a.test"], methods: ["POST", "GET"] }),
      ["warning unreachable-part rules.1.methods.1"],
    ],
    [
      "an entry of host rules behind a wider one",
      {
        hostRules: [
          { host: "*.test", rules: [{ action: "allow", method: "GET" }] },
          { host: "a.test", rules: [] },
        ],
      },
      ["warning unreachable hostRules.1"],
    ],
    [
      "a refusal before it holds in every case",
      rules({ action: "deny", reason: "x", hosts: ["a.test"], paths: ["/A"] }, { hosts: ["a.test"], paths: ["/a"] }),
      ["error contradiction rules.1"],
    ],
    [
      "save that its ranges count",
      rules({ hosts: ["a.test:8443"] }, { hosts: ["a.test:8443"], cidr: ["10.0.0.0/8"] }),
      ["note only-ranges rules.1"],
    ],
  ])("%s", (_, policy, expected) => {
    expect(lint(policy)).toEqual(expected);
  });

  test.each<[string, unknown]>([
    ["another port", rules({ hosts: ["a.test:8443"] }, { hosts: ["a.test"] })],
    ["the apex of a wildcard", rules({ hosts: ["*.a.test"] }, { hosts: ["a.test"] })],
    ["a wider path", rules({ hosts: ["a.test"], paths: ["/x"] }, { hosts: ["a.test"], paths: ["/x/**"] })],
    ["more methods", rules({ hosts: ["a.test"], methods: ["GET"] }, { hosts: ["a.test"] })],
    ["a path in another case", rules({ hosts: ["a.test"], paths: ["/A"] }, { hosts: ["a.test"], paths: ["/a"] })],
    ["a wider host", rules({ hosts: ["a.test"] }, { hosts: ["*.test"] })],
  ])("and %s is none", (_, policy) => {
    expect(lint(policy)).toEqual([]);
  });

  const host = fc.constantFrom("a.test", "b.a.test", "*.test", "*.a.test", "*");
  const path = fc.constantFrom("/", "/a", "/*", "/a/*", "/a/**", "/**/b", "/a/b", "**");
  const rule: fc.Arbitrary<PolicyRule> = fc.record({
    action: fc.constantFrom("allow" as const, "deny" as const),
    hosts: fc.uniqueArray(host, { minLength: 1, maxLength: 2 }),
    methods: fc.uniqueArray(fc.constantFrom("GET", "POST"), { minLength: 1, maxLength: 2 }),
    paths: fc.uniqueArray(path, { minLength: 1, maxLength: 2 }),
  });
  const request = fc.record({
    host: fc.constantFrom("a.test", "b.a.test", "c.test"),
    port: fc.constantFrom(80, 443),
    method: fc.constantFrom("GET", "POST"),
    path: fc.constantFrom("/", "/a", "/b", "/a/b", "/a/b/c", "/c/b", "/a/c"),
  });

  test("never one that decides a request", () => {
    const property = fc.property(
      fc.array(rule, { maxLength: 5 }),
      fc.array(request, { maxLength: 20 }),
      (some, asked) => {
        const policy = compilePolicy({ mode: "strict", rules: some });
        const dead = lint({ rules: some }).filter((line) => /unreachable rules|contradiction/.test(line));
        for (const one of asked) {
          const place = pathOf(policy.decide(one).rule).join(".");
          expect(dead.some((line) => line.endsWith(` ${place}`))).toBe(false);
        }
      },
    );
    fc.assert(property, { numRuns: 500 });
  });
});

describe("a rule by itself", () => {
  test.each<[string, object, readonly string[]]>([
    ["a suffix that strangers share", { hosts: ["*.github.io"] }, ["warning shared-suffix rules.0"]],
    ["every host", { hosts: ["*"] }, ["note every-host rules.0"]],
    ["cleartext by its port", { hosts: ["a.test:80"] }, ["note cleartext rules.0"]],
    ["cleartext by its ports", { hosts: ["a.test"], ports: [80, 443] }, ["note cleartext rules.0"]],
    ["a tunnel's method", { hosts: ["a.test"], methods: ["CONNECT"] }, ["warning connect-method rules.0"]],
    ["a refusal without reason", { action: "deny", hosts: ["a.test"] }, ["note no-reason rules.0"]],
    ["a refusal of a shared suffix", { ...deny, hosts: ["*.github.io", "*"] }, []],
  ])("%s", (_, rule, expected) => {
    expect(lint(rules(rule))).toEqual(expected);
  });
});

describe("what is not valid", () => {
  test("is named with every rule that it stands in", () => {
    const policy = {
      mode: "strict",
      allow: ["fine.test", "http://a.test/x"],
      rules: [
        { action: "ask", hosts: ["a.test"] },
        { action: "allow", hosts: ["a.test"] },
        { action: "allow", host: "a.test" },
      ],
    };
    expect(lint(policy)).toEqual(["error invalid rules.0", "error invalid rules.2", "error invalid allow.1"]);
    const messages = lintPolicy(policy, { isSharedSuffix }).map(({ message }) => message);
    expect(messages[0]).toContain("policy.rules[0].action is ask");
    expect(messages[1]).toContain("policy.rules[2].host");
    expect(messages[2]).toContain("without scheme");
  });

  test.each([
    ["a list", []],
    ["nothing", null],
    ["an unknown mode", { mode: "lax" }],
    ["rules that are no list", { rules: {} }],
  ])("%s is one error at its top", (_, policy) => {
    expect(lint(policy)).toEqual(["error invalid "]);
  });
});
