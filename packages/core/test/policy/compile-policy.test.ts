import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  compilePolicy,
  matchPath,
  type NetworkPolicyInput,
  normalisePath,
  type PolicyRequest,
  parsePathPattern,
} from "../../src/index.ts";

function decide(policy: NetworkPolicyInput, text: string): string {
  const [method = "", url = ""] = text.split(" ");
  const [, host = "", port = "443", path = "/"] = /^([^/:]+)(?::(\d+))?(\/.*)?$/.exec(url) ?? [];
  const { action, rule } = compilePolicy(policy).decide({ host, port: Number(port), method, path });
  return `${action} by ${rule}`;
}

describe("the first match wins: guards, host rules, rules, allowed hosts, granted hosts, mode", () => {
  const policy: NetworkPolicyInput = {
    mode: "strict",
    guards: [
      { action: "deny", hosts: ["api.example.com"], methods: ["POST"], paths: ["/tokens/**"], reason: "guarded" },
    ],
    hostRules: [
      {
        host: "api.example.com",
        rules: [
          { action: "deny", method: "DELETE", pathPattern: "**" },
          { action: "allow", method: "*", pathPattern: "/repos/**" },
        ],
      },
      { host: "*.example.com", rules: [] },
      { host: "api.example.com", rules: [{ action: "allow", method: "*", pathPattern: "/second/**" }] },
    ],
    allow: ["files.example.com:8443", "api.example.com"],
    rules: [
      { action: "deny", hosts: ["*"], methods: ["PUT"], reason: "no uploads" },
      { action: "allow", hosts: ["other.example.org", "*.cdn.example.org"], methods: ["GET", "put"] },
      { action: "allow", hosts: ["multi.example.org"], ports: [80, 8080] },
      { action: "deny", hosts: ["granted.example.net"], paths: ["/private/**"] },
    ],
    granted: ["granted.example.net", "api.example.com"],
  };

  test.each([
    ["POST api.example.com/tokens", "deny by guards[0]"],
    ["post api.example.com/tokens/x", "deny by guards[0]"],
    ["GET api.example.com/tokens", "allow by allow[1]"],
    ["DELETE api.example.com/repos/x", "deny by host_rules[0].rules[0]"],
    ["GET api.example.com/repos/x", "allow by host_rules[0].rules[1]"],
    ["GET api.example.com/second/x", "allow by allow[1]"],
    ["GET www.example.com/", "allow by host_rules[1]"],
    ["GET a.b.example.com/", "allow by host_rules[1]"],
    ["GET example.com/", "deny by default"],
    ["GET www.example.com:80/", "allow by host_rules[1]"],
    ["GET www.example.com:8443/", "deny by default"],
    ["GET files.example.com:8443/x", "allow by allow[0]"],
    ["GET files.example.com/x", "allow by host_rules[1]"],
    ["PUT api.example.com/x", "deny by rules[0]"],
    ["PUT other.example.org/x", "deny by rules[0]"],
    ["GET granted.example.net/x", "allow by granted[0]"],
    ["GET granted.example.net/private/x", "deny by rules[3]"],
    ["PUT granted.example.net/x", "deny by rules[0]"],
    ["GET granted.example.net:8443/x", "deny by default"],
    ["PUT other.example.org:8443/x", "deny by rules[0]"],
    ["DELETE api.example.com:8443/repos/x", "deny by default"],
    ["GET other.example.org/x", "allow by rules[1]"],
    ["get x.cdn.example.org/x", "allow by rules[1]"],
    ["HEAD other.example.org/x", "deny by default"],
    ["GET multi.example.org:8080/", "allow by rules[2]"],
    ["GET multi.example.org/", "deny by default"],
  ])("%s: %s", (request, decision) => {
    expect(decide(policy, request)).toBe(decision);
  });

  test("the reason of the rule that refused is told, and a policy without rules says that nothing allows it", () => {
    const compiled = compilePolicy(policy);
    const about = { host: "api.example.com", port: 443, method: "POST", path: "/tokens" };
    expect(compiled.decide(about).reason).toBe("guarded");
    expect(compilePolicy({}).decide(about)).toEqual({
      action: "deny",
      rule: "default",
      reason: "No rule allows this request.",
    });
    expect(compilePolicy({ mode: "permissive" }).decide(about)).toMatchObject({ action: "allow", rule: "default" });
  });
});

describe("paths are compared after cleaning, whatever the client wrote", () => {
  const denying: NetworkPolicyInput = {
    mode: "permissive",
    rules: [{ action: "deny", hosts: ["h.example"], paths: ["/admin/**"] }],
  };
  const allowing: NetworkPolicyInput = {
    mode: "strict",
    rules: [{ action: "allow", hosts: ["h.example"], paths: ["/public/**"] }],
  };

  test.each([
    "/admin",
    "/admin/",
    "/admin/x",
    "/admin?x=/public",
    "//admin",
    "/./admin",
    "/x/../admin",
    "/x/%2e%2e/admin",
    "/%61dmin/x",
    "/admin;v=1/x",
    "/admin%3bv=1/x",
    "/ADMIN/x",
    "/%41dmin",
    "/admin/../admin",
    "/public//../../admin/x",
    // Refused because they have two readings.
    "/x%2f..%2fadmin",
    "/x/..;/admin",
    "/x/..%2fadmin",
    "/x\\..\\admin",
    "/x%5c..%5cadmin",
    "/%2561dmin",
    "/%25%36%31dmin",
    "/%61%2564min",
    "/admin%00",
    "/%c1%a1dmin",
    "/%u0061dmin",
    "/%%36%31dmin",
    "/admin#x",
    "\u2028/admin",
    "admin",
    "",
  ])("no spelling of a denied path passes: %j", (path) => {
    const ask = (policy: NetworkPolicyInput) =>
      compilePolicy(policy).decide({ host: "h.example", port: 443, method: "GET", path }).action;
    expect(ask(denying)).toBe("deny");
    expect(ask(allowing)).toBe("deny");
  });

  test.each(["/public", "/public/a%20b", "/public/x;v=1", "/admin/../public/x", "/public/caf%c3%a9", "/public/100%25"])(
    "an allowed path passes: %s",
    (path) => {
      expect(decide(allowing, `GET h.example${path}`)).toBe("allow by rules[0]");
      expect(decide(denying, `GET h.example${path}`)).toBe("allow by default");
    },
  );

  test("what is denied is denied in every case, what is allowed is allowed as it is written", () => {
    const policy: NetworkPolicyInput = {
      mode: "strict",
      hostRules: [
        {
          host: "entry.example",
          rules: [
            { action: "deny", method: "*", pathPattern: "/Acme/**" },
            { action: "allow", method: "*", pathPattern: "**" },
          ],
        },
      ],
      rules: [
        { action: "allow", hosts: ["h.example"], paths: ["/repos/Acme/open"] },
        { action: "deny", hosts: ["h.example"], paths: ["/repos/Acme/**"] },
        { action: "allow", hosts: ["h.example"] },
      ],
    };
    expect(decide(policy, "GET h.example/repos/Acme/open")).toBe("allow by rules[0]");
    expect(decide(policy, "GET h.example/repos/acme/open")).toBe("deny by rules[1]");
    expect(decide(policy, "GET h.example/Repos/ACME/x")).toBe("deny by rules[1]");
    expect(decide(policy, "GET h.example/repos/acme.x/y")).toBe("allow by rules[2]");
    expect(decide(policy, "GET entry.example/aCME/x")).toBe("deny by host_rules[0].rules[0]");
  });

  test("a path with two readings is refused only where a path rule holds for its host, port and method", () => {
    const policy: NetworkPolicyInput = {
      mode: "permissive",
      rules: [
        { action: "deny", hosts: ["h.example"], methods: ["POST"], ports: [443], paths: ["/x"] },
        { action: "allow", hosts: ["all.example"], paths: ["/**"] },
      ],
    };
    expect(decide(policy, "POST h.example/a%2fb")).toBe("deny by rules[0]");
    expect(decide(policy, "GET h.example/a%2fb")).toBe("allow by default");
    expect(decide(policy, "POST h.example:8443/a%2fb")).toBe("allow by default");
    expect(decide(policy, "POST i.example/a%2fb")).toBe("allow by default");
    expect(decide(policy, "POST all.example/a%2fb")).toBe("allow by rules[1]");
    expect(
      compilePolicy(policy).decide({ host: "h.example", port: 443, method: "POST", path: "/a%2fb" }).reason,
    ).toContain("encoded slash");
  });

  test("a guard looks at both readings of an encoded slash, so that scoped packages pass and tokens do not", () => {
    const policy: NetworkPolicyInput = {
      mode: "permissive",
      guards: [{ action: "deny", hosts: ["registry.example"], paths: ["/-/tokens/**", "/*/keys", "/login/**"] }],
    };
    expect(decide(policy, "GET registry.example/@scope%2fname")).toBe("allow by default");
    expect(decide(policy, "GET registry.example/-%2ftokens")).toBe("deny by guards[0]");
    expect(decide(policy, "GET registry.example/-/tokens%2Fx")).toBe("deny by guards[0]");
    expect(decide(policy, "GET registry.example/x%2f..%2f-%2ftokens")).toBe("deny by guards[0]");
    expect(decide(policy, "GET registry.example/group%2fname/keys")).toBe("deny by guards[0]");
    expect(decide(policy, "GET registry.example/-%255ctokens")).toBe("deny by guards[0]");
    for (const path of [
      "/-/Tokens/x",
      "/-/tokens.json",
      "/-/tokens.json;v=1",
      "/a.b/KEYS.xml",
      "/Login.json",
      "/login.json/",
    ]) {
      expect(decide(policy, `GET registry.example${path}`)).toBe("deny by guards[0]");
    }
    expect(decide(policy, "GET registry.example/keys.js")).toBe("allow by default");
    expect(decide(policy, "GET registry.example/")).toBe("allow by default");
    expect(decide(policy, "GET registry.example/x/..;/-/tokens")).toBe("deny by guards[0]");
  });
});

describe("a tunnel is refused only when no request in it could be allowed", () => {
  const policy = compilePolicy({
    rules: [
      { action: "deny", hosts: ["closed.example"] },
      { action: "deny", hosts: ["part.example"], methods: ["POST"] },
      { action: "allow", hosts: ["part.example", "closed.example"], paths: ["/x"] },
    ],
  });

  test.each([
    ["closed.example", 443, { action: "deny", rule: "rules[0]" }],
    ["part.example", 443, { action: "allow", rule: "rules[2]" }],
    ["part.example", 8443, { action: "deny", rule: "default" }],
    ["other.example", 443, { action: "deny", rule: "default" }],
  ])("%s:%i: %j", (host, port, decision) => {
    expect(policy.decideConnect(host, port)).toMatchObject(decision);
  });

  test("under a permissive policy only an unconditional refusal closes a host", () => {
    const open = compilePolicy({
      mode: "permissive",
      rules: [
        { action: "deny", hosts: ["closed.example:443"] },
        { action: "deny", hosts: ["part.example"], paths: ["/x"] },
      ],
    });
    expect(open.decideConnect("closed.example", 443).action).toBe("deny");
    expect(open.decideConnect("closed.example", 8443).action).toBe("allow");
    expect(open.decideConnect("part.example", 443).action).toBe("allow");
  });
});

test("a refusal without a port holds on every port, one with a port on that alone", () => {
  const closed: NetworkPolicyInput = {
    mode: "permissive",
    rules: [
      { action: "deny", hosts: ["one.test:8443"] },
      { action: "deny", hosts: ["two.test"], ports: [80] },
      { action: "deny", hosts: ["*"] },
    ],
    allow: ["a.test:8443"],
    granted: ["b.test:8443"],
  };
  for (const place of ["a.test:8443", "b.test:8443", "c.test:1", "c.test"])
    expect(decide(closed, `GET ${place}/`), place).toBe("deny by rules[2]");
  const open = { ...closed, rules: closed.rules?.slice(0, 2) ?? [] };
  const asked = ["one.test:8443", "one.test:9000", "two.test:80", "two.test:8443"];
  expect(asked.map((place) => decide(open, `GET ${place}/`))).toEqual([
    "deny by rules[0]",
    "allow by default",
    "deny by rules[1]",
    "allow by default",
  ]);
  expect(compilePolicy(closed).decideConnect("a.test", 8443)).toMatchObject({ action: "deny", rule: "rules[2]" });
});

describe("addresses that are not public must be stated with host and port", () => {
  const policy = compilePolicy({
    allow: ["localhost:3000", "127.0.0.1:4000", "10.0.0.7", "[::1]:5000"],
    hostRules: [{ host: "10.0.0.8:80", rules: [{ action: "deny", method: "POST", pathPattern: "**" }] }],
    rules: [
      { action: "allow", hosts: ["build.example:8443"], cidr: ["10.20.0.0/16"] },
      { action: "allow", hosts: ["*.corp.example"], ports: [443], cidr: ["10.0.0.0/8", "fd00::/8"] },
      { action: "allow", hosts: ["build.example"], methods: ["GET"], ports: [8443], cidr: ["10.21.0.0/16"] },
      { action: "allow", hosts: ["*"], ports: [443, 9000] },
      { action: "deny", hosts: ["127.0.0.1:6000"] },
    ],
  });

  test.each([
    ["localhost", 3000, ["127.0.0.0/8", "::1/128"]],
    ["localhost", 443, []],
    ["127.0.0.1", 4000, ["127.0.0.1"]],
    ["127.0.0.1", 3000, []],
    ["127.0.0.1", 9000, []],
    ["127.0.0.1", 6000, []],
    ["::1", 5000, ["::1"]],
    ["10.0.0.7", 443, []],
    ["10.0.0.8", 80, []],
    ["build.example", 8443, ["10.20.0.0/16", "10.21.0.0/16"]],
    ["build.example", 443, []],
    ["git.corp.example", 443, ["10.0.0.0/8", "fd00::/8"]],
    ["git.corp.example", 80, []],
    ["corp.example", 443, []],
    ["any.example", 9000, []],
  ])("%s:%i may resolve to %j", (host, port, ranges) => {
    expect(policy.addressRanges(host, port)).toEqual(ranges);
  });

  test.each([
    [{ allow: ["localhost:3000"] }, true],
    [{ allow: ["127.0.0.2:80"] }, true],
    [{ allow: ["0x7f.1:80"] }, true],
    [{ allow: ["[::1]:80"] }, true],
    [{ rules: [{ action: "allow", hosts: ["localhost"], ports: [80] }] }, true],
    [{ allow: ["localhost"] }, false],
    [{ allow: ["*", "127.example:80"] }, false],
    [{ rules: [{ action: "deny", hosts: ["localhost:80"] }] }, false],
    [{ mode: "permissive" }, false],
  ])("%j states loopback: %s", (input, states) => {
    expect(compilePolicy(input).statesLoopback()).toBe(states);
  });
});

/** The policy by its definition: every rule in order, one pattern at a time, nothing indexed. */
function decideSlowly(policy: NetworkPolicyInput, request: PolicyRequest): string {
  const holds = (pattern: string, action = "allow") => {
    const [, host = "", port] = /^(.*?)(?::(\d+))?$/.exec(pattern) ?? [];
    const isPort = port === undefined ? undefined : Number(port) === request.port;
    const isHost =
      host === "*" || (host.startsWith("*.") ? request.host.endsWith(host.slice(1)) : host === request.host);
    return isHost && (isPort ?? (action === "deny" || [80, 443].includes(request.port)));
  };
  // An ambiguous path is decided, by refusal, by the first rule that looks at paths.
  const isAmbiguous = normalisePath(request.path).ambiguity !== undefined;
  const holdsPath = (path: string, action: string) => {
    const fold = (text: string) => (action === "deny" ? text.toLowerCase() : text);
    const pattern = parsePathPattern(fold(path));
    return isAmbiguous || (pattern !== undefined && matchPath(pattern, fold(request.path)));
  };
  const entry = (policy.hostRules ?? []).findIndex(({ host }) => holds(host));
  const chosen = policy.hostRules?.[entry];
  if (chosen?.rules.length === 0) return `host_rules[${entry}]`;
  const rule =
    chosen?.rules.findIndex(
      ({ action, method, pathPattern }) => ["*", request.method].includes(method) && holdsPath(pathPattern, action),
    ) ?? -1;
  if (rule >= 0) return `host_rules[${entry}].rules[${rule}]`;
  const found = (policy.rules ?? []).findIndex(
    ({ action, hosts, methods, paths }) =>
      hosts.some((host) => holds(host, action)) &&
      (methods?.includes(request.method) ?? true) &&
      (paths?.some((path) => holdsPath(path, action)) ?? true),
  );
  if (found >= 0) return `rules[${found}]`;
  const allowed = (policy.allow ?? []).findIndex((host) => holds(host));
  if (allowed >= 0) return `allow[${allowed}]`;
  const granted = (policy.granted ?? []).findIndex((host) => holds(host));
  return granted >= 0 ? `granted[${granted}]` : "default";
}

const hosts = ["a.x", "b.a.x", "c.b.a.x", "x", "y"];
const hostPattern = fc.constantFrom(...hosts, "*", "*.x", "*.a.x", "*.b.a.x", "a.x:80", "*.x:8443", "*:443");
const action = fc.constantFrom("allow", "deny");
const method = fc.constantFrom("GET", "POST");
const pathPattern = fc.constantFrom("/", "/a", "/a/**", "/*", "/**", "**", "/b/*", "/**/b", "/a;x", "/A/**");
const policyInput = fc.record({
  mode: fc.constantFrom("strict", "permissive"),
  hostRules: fc.array(
    fc.record({
      host: hostPattern,
      rules: fc.array(fc.record({ action, method: fc.oneof(method, fc.constant("*")), pathPattern }), { maxLength: 2 }),
    }),
    { maxLength: 3 },
  ),
  allow: fc.array(hostPattern, { maxLength: 2 }),
  granted: fc.array(hostPattern, { maxLength: 2 }),
  rules: fc.array(
    fc.record(
      {
        action,
        hosts: fc.array(hostPattern, { minLength: 1, maxLength: 3 }),
        methods: fc.array(method, { minLength: 1, maxLength: 2 }),
        paths: fc.array(pathPattern, { minLength: 1, maxLength: 2 }),
      },
      { requiredKeys: ["action", "hosts"] },
    ),
    { maxLength: 5 },
  ),
});
const request = fc.record({
  host: fc.constantFrom(...hosts),
  port: fc.constantFrom(80, 443, 8443),
  method,
  path: fc.constantFrom(
    "/",
    "/a",
    "/a/",
    "/a/b",
    "/b/b",
    "/b",
    "/a;x",
    "/a;x/b",
    "/c/../a",
    "/a%2fb",
    "/a/..;/b",
    "*",
    "/A/b",
  ),
});

test("the indexed policy decides as the definition does", () => {
  fc.assert(
    fc.property(policyInput, request, (input, about) => {
      const policy = input as NetworkPolicyInput;
      expect(compilePolicy(policy).decide(about).rule).toBe(decideSlowly(policy, about));
    }),
    { numRuns: 2_000 },
  );
});

test("where a tunnel is refused, so is every request in it", () => {
  fc.assert(
    fc.property(policyInput, request, (input, about) => {
      const policy = compilePolicy(input);
      const isRefused = policy.decideConnect(about.host, about.port).action === "deny";
      if (isRefused) expect(policy.decide(about).action).toBe("deny");
    }),
    { numRuns: 2_000 },
  );
});

test("what the policy keeps as its input compiles to the same decisions", () => {
  fc.assert(
    fc.property(policyInput, request, (input, about) => {
      const policy = compilePolicy(input);
      const again = compilePolicy(JSON.parse(JSON.stringify(policy.input)));
      expect(again.input).toEqual(policy.input);
      expect(again.decide(about)).toEqual(policy.decide(about));
    }),
  );
});
