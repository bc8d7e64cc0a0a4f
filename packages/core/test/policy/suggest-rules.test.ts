import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { compilePolicy, type RefusedRequest, suggestRules } from "../../src/index.ts";

function refused(method: string, url: string, more: Partial<RefusedRequest> = {}): RefusedRequest {
  const { hostname, port, protocol } = new URL(method === "CONNECT" ? `https://${url}` : url);
  return {
    method,
    url,
    host: hostname.replace(/^\[|\]$/g, ""),
    port: port === "" ? (protocol === "http:" ? 80 : 443) : Number(port),
    code: "gate.policy_denied",
    rule: "default",
    ...more,
  };
}

describe("rules are proposed", () => {
  test("for what was asked, joined where nothing else falls under them, the most wanted first", () => {
    const { rules, leftOut } = suggestRules([
      refused("GET", "https://a.test/x"),
      refused("GET", "https://a.test/y"),
      refused("GET", "https://a.test/y?token"),
      refused("POST", "https://b.test:8443/x"),
      refused("GET", "http://c.test"),
      refused("HEAD", "http://c.test/"),
    ]);
    expect(leftOut).toEqual([]);
    expect(rules).toEqual([
      {
        rule: { action: "allow", hosts: ["a.test:443"], methods: ["GET"], paths: ["/x", "/y"] },
        requests: 3,
        opensTunnel: false,
      },
      {
        rule: { action: "allow", hosts: ["c.test:80"], methods: ["GET", "HEAD"], paths: ["/"] },
        requests: 2,
        opensTunnel: false,
      },
      {
        rule: { action: "allow", hosts: ["b.test:8443"], methods: ["POST"], paths: ["/x"] },
        requests: 1,
        opensTunnel: false,
      },
    ]);
  });

  test("that let a tunnel open, and no more, where nothing was seen inside", () => {
    const { rules } = suggestRules([
      refused("CONNECT", "a.test:443"),
      refused("CONNECT", "b.test:443"),
      refused("GET", "https://b.test/x"),
    ]);
    expect(rules).toMatchObject([
      { rule: { hosts: ["b.test:443"], paths: ["/x"] }, opensTunnel: false },
      { rule: { hosts: ["a.test:443"], methods: ["HEAD"], paths: ["/"] }, opensTunnel: true },
    ]);
    const policy = compilePolicy({ rules: rules.map(({ rule }) => rule) });
    expect(policy.decideConnect("a.test", 443).action).toBe("allow");
  });

  const path = fc.constantFrom("/", "/a", "/a/b", "/b", "/a%20b", "/c;x=1");
  const request = fc.record({
    method: fc.constantFrom("GET", "POST", "PUT"),
    host: fc.constantFrom("a.test", "b.test", "93.184.215.14"),
    scheme: fc.constantFrom("http", "https"),
    path,
  });

  test("that allow every request that was seen, and no other", () => {
    const property = fc.property(
      fc.array(request, { maxLength: 12 }),
      fc.array(request, { maxLength: 30 }),
      (seen, asked) => {
        const urlOf = (one: (typeof seen)[number]) => `${one.scheme}://${one.host}${one.path}`;
        const { rules } = suggestRules(seen.map((one) => refused(one.method, urlOf(one))));
        const policy = compilePolicy({ rules: rules.map(({ rule }) => rule) });
        const known = new Set(seen.map((one) => `${one.method} ${urlOf(one)}`));
        for (const one of [...seen, ...asked]) {
          const port = one.scheme === "https" ? 443 : 80;
          const { action } = policy.decide({ host: one.host, port, method: one.method, path: one.path });
          expect(action).toBe(known.has(`${one.method} ${urlOf(one)}`) ? "allow" : "deny");
        }
      },
    );
    fc.assert(property, { numRuns: 500 });
  });
});

describe("no rule is proposed", () => {
  test.each<[string, RefusedRequest]>([
    ["for what a rule denies", refused("GET", "https://a.test/", { rule: "rules[1]" })],
    ["for what a guard denies", refused("GET", "https://a.test/", { rule: "guards[0]" })],
    ["for a misplaced placeholder", refused("GET", "https://a.test/", { code: "gate.placeholder_misplaced" })],
    ["for a forbidden address", refused("GET", "https://a.test/", { code: "gate.address_forbidden" })],
    [
      "for another destination than the tunnel's",
      refused("GET", "https://a.test/", { code: "gate.destination_mismatch" }),
    ],
    ["for metadata", refused("GET", "http://169.254.169.254/latest")],
    ["for metadata by name", refused("GET", "http://metadata.google.internal/")],
    ["for link-local addresses", refused("GET", "http://[fe80::1]/")],
    ["for loopback", refused("GET", "http://127.0.0.1:8080/")],
    ["for loopback by name", refused("CONNECT", "localhost:8443")],
    ["for private addresses", refused("GET", "http://10.0.0.1/")],
    ["for a mapped address", refused("GET", "http://x.test/", { host: "::ffff:7f00:1" })],
    ["for a path with two readings", refused("GET", "https://a.test/a%2fb")],
    ["for a path that no pattern can say", refused("GET", "https://a.test/a*b")],
    ["for a URL that was cut", refused("GET", `https://a.test/${"a".repeat(2_048)}`)],
    ["for a name that stands for no host", refused("GET", "http://gatehouse-doctor.invalid/")],
    ["where there is no host", refused("GET", "https://a.test/", { host: "" })],
  ])("%s, and it is said why", (_, request) => {
    const { rules, leftOut } = suggestRules([request, request]);
    expect(rules).toEqual([]);
    expect(leftOut).toMatchObject([{ requests: 2, why: expect.stringMatching(/./) }]);
  });
});
