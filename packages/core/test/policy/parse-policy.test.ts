import { expect, test } from "vitest";
import { compilePolicy } from "../../src/index.ts";

const rule = { action: "allow", hosts: ["a.example"] };

test.each([
  [undefined, "policy must be an object"],
  [null, "policy must be an object"],
  ["strict", "policy must be an object"],
  [[], "policy must be an object"],
  [{ mode: "open" }, "policy.mode must be strict or permissive"],
  [{ mod: "strict" }, "policy.mod is not known. Did you mean mode? policy may have mode, rules, allow."],
  [JSON.parse('{"__proto__": {"mode": "permissive"}}'), "policy.__proto__ is not known"],
  [{ name: "Bad Name" }, "policy.name must be"],
  [{ allow: "a.example" }, "policy.allow must be a list"],
  [{ allow: ["a.example", "https://b.example"] }, "policy.allow[1] must be a host without scheme"],
  [{ allow: [7] }, "policy.allow[0] must be a text"],
  [{ rules: [{ ...rule, client_auth: "deny" }] }, "policy.rules[0].client_auth must be allow, or absent"],
  [{ guards: [{ ...rule, action: "deny", client_auth: "allow" }] }, "policy.guards[0].client_auth must be absent"],
  [{ granted: ["a b"] }, "policy.granted[0] must be host"],
  [{ allow: Array.from({ length: 10_001 }, () => "a.example") }, "policy.allow must be a list of at most 10000"],
  [
    { rules: [{ ...rule, host: "x" }] },
    "policy.rules[0].host is not known. Did you mean hosts? policy.rules[0] may have",
  ],
  [{ wibble: 1 }, "policy.wibble is not known. policy may have mode, rules, allow."],
  [{ rules: [{ hosts: ["a.example"] }] }, "policy.rules[0].action must be allow or deny"],
  [{ rules: [{ ...rule, action: "Allow" }] }, "policy.rules[0].action must be allow or deny"],
  [{ rules: [{ action: "allow" }] }, "policy.rules[0].hosts must be a list"],
  [{ rules: [{ ...rule, hosts: [] }] }, "policy.rules[0].hosts must be a list of at least one"],
  [{ rules: [rule, { ...rule, ports: [443, 0] }] }, "policy.rules[1].ports[1] must be a port"],
  [{ rules: [{ ...rule, ports: ["443"] }] }, "policy.rules[0].ports[0] must be a port"],
  [{ rules: [{ ...rule, ports: [] }] }, "policy.rules[0].ports must be a list of at least one"],
  [{ rules: [{ ...rule, hosts: ["a.example:443"], ports: [80] }] }, "policy.rules[0].hosts[0] must be without a port"],
  [{ rules: [{ ...rule, methods: ["GET POST"] }] }, "policy.rules[0].methods[0] must be an HTTP method"],
  [{ rules: [{ ...rule, methods: [] }] }, "policy.rules[0].methods must be a list of at least one"],
  [{ rules: [{ ...rule, paths: ["repos/**"] }] }, "policy.rules[0].paths[0] must be a clean path"],
  [{ rules: [{ ...rule, paths: ["/repos*"] }] }, "policy.rules[0].paths[0] must be a clean path"],
  [{ rules: [{ ...rule, paths: ["*"] }] }, "policy.rules[0].paths[0] must be a clean path"],
  [{ rules: [{ ...rule, paths: [] }] }, "policy.rules[0].paths must be a list of at least one"],
  [{ rules: [{ ...rule, ports: [443], cidr: ["10.0.0.1/8"] }] }, "policy.rules[0].cidr[0] must be an address range"],
  [{ rules: [{ ...rule, cidr: ["10.0.0.0/8"] }] }, "policy.rules[0].hosts[0] must be with its port beside cidr"],
  [{ rules: [{ ...rule, hosts: ["*"], ports: [443], cidr: ["10.0.0.0/8"] }] }, "must be a stated host beside cidr"],
  [{ rules: [{ ...rule, action: "deny", cidr: ["10.0.0.0/8"] }] }, "policy.rules[0].cidr must be absent"],
  [{ rules: [{ ...rule, reason: 7 }] }, "policy.rules[0].reason must be a text"],
  [{ guards: [rule] }, "policy.guards[0].action must be deny"],
  [{ hostRules: [{ rules: [] }] }, "policy.hostRules[0].host must be a text"],
  [{ hostRules: [{ host: "a.example", rules: [{ action: "allow", path: "/" }] }] }, "rules[0].path is not known"],
  [{ hostRules: [{ host: "a.example", rules: [{ action: "deny", method: "G T" }] }] }, "rules[0].method must be"],
  [
    { hostRules: [{ host: "a.example", rules: [{ action: "deny", pathPattern: "x" }] }] },
    "pathPattern must be a clean",
  ],
])("%j is refused: %s", (written, message) => {
  expect(() => compilePolicy(written)).toThrow(
    expect.objectContaining({ code: "policy.invalid", message: expect.stringContaining(message) }),
  );
});

test.each([
  [{ rules: [{ action: "ask", hosts: ["a.example"] }] }, "policy.rules[0].action is ask"],
  [{ hostRules: [{ host: "a.example", rules: [{ action: "ask" }] }] }, "policy.hostRules[0].rules[0].action is ask"],
])("ask is refused by name, not ignored: %j", (written, message) => {
  expect(() => compilePolicy(written)).toThrow(
    expect.objectContaining({ code: "api.not_supported", detail: expect.stringContaining(message) }),
  );
});

test("a policy that says nothing is strict, and what is written is kept in one form", () => {
  expect(compilePolicy({}).input).toEqual({ mode: "strict" });
  const input = {
    name: "ci",
    mode: "permissive",
    guards: [{ action: "deny", hosts: ["a.example"], paths: ["/keys/**"] }],
    hostRules: [{ host: "a.example", rules: [{ action: "deny", method: "post", pathPattern: "/x" }] }],
    allow: ["a.example:8443"],
    granted: ["b.example"],
    rules: [{ ...rule, ports: [8443], methods: ["get", "*"], paths: ["/a/**"], cidr: ["10.0.0.0/8"], reason: "ours" }],
  };
  expect(compilePolicy(input).input).toEqual({
    ...input,
    hostRules: [{ host: "a.example", rules: [{ action: "deny", method: "POST", pathPattern: "/x" }] }],
    rules: [{ ...input.rules[0], methods: ["GET", "*"] }],
  });
});

test("existing tools leave fields of host rules out or empty, and mean everything", () => {
  const policy = compilePolicy({
    hostRules: [
      { host: "a.example", rules: [{ action: "allow", method: "", pathPattern: "" }] },
      { host: "b.example", rules: [{ action: "allow" }] },
      { host: "c.example" },
    ],
  });
  for (const host of ["a.example", "b.example", "c.example"]) {
    expect(policy.decide({ host, port: 443, method: "PATCH", path: "/any%2fthing" }).action).toBe("allow");
  }
});

test("what a policy was compiled from may change afterwards without changing it", () => {
  const written = { mode: "strict", rules: [{ action: "allow", hosts: ["a.example"], methods: ["GET"] }] };
  const policy = compilePolicy(written);
  written.rules[0]?.methods.push("POST");
  written.mode = "permissive";
  expect(policy.decide({ host: "a.example", port: 443, method: "POST", path: "/" }).action).toBe("deny");
});
