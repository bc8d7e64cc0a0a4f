import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { commandIn } from "./command-under-test.ts";

const directory = mkdtempSync(join(tmpdir(), "gatehouse-policy-"));
afterAll(() => rmSync(directory, { recursive: true, force: true }));
const gatehouse = commandIn(directory);

function write(name: string, text: string): string {
  const path = join(directory, name);
  writeFileSync(path, text);
  return path;
}

write(
  "policy.yaml",
  `mode: strict
rules:
  - action: deny
    hosts: [api.github.com]
    methods: [DELETE]
    reason: Nothing is deleted by agents here.
  - action: allow
    hosts: [api.github.com]
    paths: ["/repos/acme/**"]
`,
);

describe("policy test", () => {
  test("ends with 0 when every case holds", () => {
    const cases = write(
      "good.test.yaml",
      `policy: policy.yaml
cases:
  - request: GET https://api.github.com/repos/acme/x
    expect: allow
    rule: rules[1]
  - name: agents delete nothing
    request: DELETE https://api.github.com/repos/acme/x
    expect: deny
    rule: rules[0]
    code: gate.policy_denied
`,
    );
    expect(gatehouse(["policy", "test", cases])).toMatchObject({ code: 0, out: "2 of 2 cases hold.\n" });
  });

  test("ends with 1 and says where and how a case differs", () => {
    const cases = write(
      "bad.test.yaml",
      `policy: policy.yaml
cases:
  - request: GET https://api.github.com/repos/acme/x
    expect: deny
  - name: deleting
    request: DELETE https://api.github.com/repos/acme/x
    expect: deny
    rule: rules[1]
`,
    );
    const { code, out } = gatehouse(["policy", "test", cases]);
    expect(code).toBe(1);
    expect(out).toContain(`${cases}:3:5 GET https://api.github.com/repos/acme/x`);
    expect(out).toContain("decision: expected deny, is allow");
    expect(out).toContain(`${cases}:5:5 deleting`);
    expect(out).toContain("rule: expected rules[1], is rules[0]");
    expect(out).toContain("0 of 2 cases hold.");
    const { ok, cases: outcomes } = JSON.parse(gatehouse(["policy", "test", cases, "--json"]).out);
    expect(ok).toBe(false);
    expect(outcomes).toMatchObject([
      { ok: false, line: 3 },
      { name: "deleting", ok: false, line: 5 },
    ]);
  });

  test.each([
    ["a misspelled key", "policy: policy.yaml\ncases:\n  - request: GET https://a.test/\n    expects: allow\n", ":3:5"],
    [
      "an expectation that is none",
      "policy: strict\ncases:\n  - {request: GET https://a.test/, expect: yes}\n",
      ":3:5",
    ],
    ["a request without method", "policy: strict\ncases:\n  - {request: https://a.test/, expect: deny}\n", ":3:5"],
    ["no cases", "policy: strict\ncases: []\n", ":2:8"],
    ["no policy", "cases:\n  - {request: GET https://a.test/, expect: deny}\n", ""],
    [
      "a policy that is not there",
      "policy: nowhere.yaml\ncases:\n  - {request: GET https://a.test/, expect: deny}\n",
      "",
    ],
    ["text that is no YAML", "policy: [\n", ""],
  ])("a file with %s ends with 2", (_, text, place) => {
    const path = write("wrong.test.yaml", text);
    const { code, out, err } = gatehouse(["policy", "test", path]);
    expect(code).toBe(2);
    expect(out).toBe("");
    if (place !== "") expect(err).toContain(`${path}${place}`);
  });
});

describe("policy lint", () => {
  test("says nothing against a good policy", () => {
    expect(gatehouse(["policy", "lint", join(directory, "policy.yaml")])).toMatchObject({ code: 0 });
  });

  test("names line and column, and ends with 1 for more than notes", () => {
    const path = write(
      "linted.yaml",
      `mode: strict
rules:
  - action: allow
    hosts: ["*.github.io", a.test]
  - action: allow
    hosts: [a.test]
    paths:
      - /x
  - {action: deny, hosts: [a.test]}
`,
    );
    const { code, out } = gatehouse(["policy", "lint", path]);
    expect(code).toBe(1);
    expect(out.split("\n").map((line) => line.replace(/: .* \(/, " ("))).toEqual([
      `${path}:3:5 (shared-suffix)`,
      `${path}:5:5 (unreachable)`,
      `${path}:9:5 (contradiction)`,
      `${path}:9:5 (no-reason)`,
      "",
    ]);
    const { findings } = JSON.parse(gatehouse(["policy", "lint", path, "--json"]).out);
    expect(findings[0]).toMatchObject({ level: "warning", code: "shared-suffix", line: 3, column: 5 });
  });

  test("ends with 0 when there are only notes", () => {
    const path = write("noted.yaml", "rules:\n  - {action: deny, hosts: [a.test]}\n");
    expect(gatehouse(["policy", "lint", path])).toMatchObject({ code: 0, out: expect.stringContaining(":2:5: note") });
  });

  test("finds every rule that is not valid, ask among them", () => {
    const path = write(
      "invalid.yaml",
      "rules:\n  - {action: ask, hosts: [a.test]}\n  - {action: allow, hosts: ['http://a.test']}\n",
    );
    const { code, out } = gatehouse(["policy", "lint", path]);
    expect(code).toBe(1);
    expect(out).toMatch(/:2:5: error: .*ask/);
    expect(out).toMatch(/:3:5: error: .*without scheme/);
  });

  test.each([
    ["guards: []\n", "guards is not for a policy file, which has mode, rules, allow"],
    ["granted: [a.test]\n", "granted is not for a policy file"],
    ["mode: strict\nruels: []\n", "policy.ruels is not known. Did you mean rules?"],
  ])("says what a person may write there: %j", (text, message) => {
    const path = write("inner.yaml", text);
    const { code, out } = gatehouse(["policy", "lint", path]);
    expect(code).toBe(1);
    expect(out).toContain(message);
    const explained = gatehouse(["policy", "explain", "GET", "https://a.test/", "--policy", path]);
    expect(explained).toMatchObject({ code: 2, out: "" });
    expect(explained.err).toContain(message);
  });

  test("allows hosts by a list, behind the rules", () => {
    const path = write("listed.yaml", "rules: [{action: deny, hosts: [a.test], methods: [PUT]}]\nallow: [a.test]\n");
    const explain = (method: string) => ["policy", "explain", method, "https://a.test/", "--policy", path, "--json"];
    expect(JSON.parse(gatehouse(explain("GET")).out)).toMatchObject({ action: "allow", rule: "allow[0]" });
    expect(JSON.parse(gatehouse(explain("PUT")).out)).toMatchObject({ action: "deny", rule: "rules[0]" });
  });

  test("and test say of each other's files what they are", () => {
    const cases = write("kind.test.yaml", "policy: strict\ncases: []\n");
    expect(gatehouse(["policy", "lint", cases])).toMatchObject({ code: 2, out: "" });
    expect(gatehouse(["policy", "lint", cases]).err).toContain(`is a file of cases, not a policy`);
    const policy = join(directory, "policy.yaml");
    expect(gatehouse(["policy", "test", policy])).toMatchObject({ code: 2, out: "" });
    expect(gatehouse(["policy", "test", policy]).err).toContain(`gatehouse policy lint ${policy}`);
  });

  test("ends with 2 for a file that cannot be read, or is no YAML", () => {
    expect(gatehouse(["policy", "lint", join(directory, "nowhere.yaml")]).code).toBe(2);
    const { code, err } = gatehouse(["policy", "lint", write("none.yaml", "mode: strict\nrules: [\n")]);
    expect(code).toBe(2);
    expect(err).toMatch(/none\.yaml:3:1: not YAML: Flow sequence .*\n$/);
    expect(err).not.toContain("next:");
  });
});

test("policy explain refuses a run beside a policy, and a URL that is none", () => {
  const both = ["policy", "explain", "GET", "https://a.test/", "--run", "r", "--policy", "strict"];
  expect(gatehouse(both).code).toBe(2);
  const refused = gatehouse(["policy", "explain", "GET", "a.test"]);
  expect(refused).toMatchObject({ code: 2, err: expect.stringContaining('"a.test" is no URL such as https://') });
  const password = gatehouse(["policy", "explain", "GET", "ftp://me:hunter2@a.test/"]);
  expect(password).toMatchObject({ code: 2, err: expect.not.stringContaining("hunter2") });
});

test("policy explain --resolve says of what it did not look up, or not find, that it did not", () => {
  const explain = (...more: readonly string[]) =>
    gatehouse(["policy", "explain", "GET", "https://nowhere.invalid/", "--resolve", ...more]).out;
  expect(explain()).toMatch(
    /^denied\n {2}rule +default\n(?:.*\n)* {2}addresses +not looked up: it is refused before\n/,
  );
  const unknown = explain("--allow", "nowhere.invalid");
  expect(unknown).toMatch(/^denied\n {2}allowed by +allow\[0\]\n(?:.*\n)* {2}addresses +none was found\n/);
});

test("policy explain reads --allow as a run does", () => {
  const args = ["policy", "explain", "GET", "https://a.test/x", "--allow", "a.test", "--json"];
  expect(JSON.parse(gatehouse(args).out)).toMatchObject({ action: "allow", rule: "allow[0]" });
});
