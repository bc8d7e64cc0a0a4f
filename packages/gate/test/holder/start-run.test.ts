import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { compilePolicy, parseResourceName, systemRandom } from "@gatehouse/core";
import { createCa } from "@gatehouse/kit";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { loadTemplates } from "../../src/credentials/templates.ts";
import type { StartRun } from "../../src/holder/gate-protocol.ts";
import { guardRegistration } from "../../src/holder/policy-of-grants.ts";
import { startRun } from "../../src/holder/start-run.ts";
import { openRegistry, type RegistryUnderTest, registration } from "../registry/registry-under-test.ts";

const VALUE = "ghp_planted0123456789abcdefghijklmnop";
const templates = await loadTemplates();
const ca = await createCa({ commonName: "Interception", days: 1, pathLength: 0 });
let directory = "";
let gate: RegistryUnderTest;
let count = 0;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "gatehouse-start-"));
  gate = await openRegistry(directory);
  const bindings = templates.get("github")?.bindings ?? [];
  await gate.credentials.add({ name: parseResourceName("hub"), service: "github", bindings, value: VALUE });
});
afterAll(() => rm(directory, { recursive: true, force: true }));

async function start(fields: Partial<StartRun> = {}, exposesCredentials = false) {
  count += 1;
  const runId = `run-${count}`;
  const run: StartRun = {
    runId,
    agent: "agent",
    project: "project",
    grants: ["hub"],
    policy: { mode: "strict" },
    isExposed: false,
    keeper: "0123456789abcdef",
    ...fields,
  };
  const started = await startRun(run, {
    ...gate,
    templates,
    random: systemRandom,
    exposesCredentials,
    proxyPort: 3128,
    ca,
  });
  return { runId, started, snapshot: gate.served.runs.get(runId) };
}

function decide(runId: string, method: string, url: string) {
  const { hostname: host, pathname: path } = new URL(url);
  return compilePolicy(gate.registry.get(runId)?.policy).decide({ host, port: 443, method, path }).action;
}

describe("a grant", () => {
  test("opens its hosts, named to the person, and closes the endpoints that hand out credentials", async () => {
    const { runId, started } = await start();
    expect(started.allowed).toEqual(expect.arrayContaining(["api.github.com", "github.com", "uploads.github.com"]));
    expect(decide(runId, "GET", "https://api.github.com/user")).toBe("allow");
    expect(decide(runId, "POST", "https://api.github.com/app/installations/1/access_tokens")).toBe("deny");
    expect(decide(runId, "GET", "https://elsewhere.example.test/")).toBe("deny");
  });

  test("opens nothing that the person's own rules close", async () => {
    const rules = [
      { action: "deny" as const, hosts: ["api.github.com"], methods: ["DELETE"] },
      { action: "deny" as const, hosts: ["*.github.com"], paths: ["/repos/*/private/**"] },
    ];
    const { runId } = await start({ policy: { mode: "strict", rules } });
    expect(decide(runId, "DELETE", "https://api.github.com/repos/a/b")).toBe("deny");
    expect(decide(runId, "GET", "https://api.github.com/repos/a/private/x")).toBe("deny");
    expect(decide(runId, "GET", "https://api.github.com/repos/a/b")).toBe("allow");
  });

  describe("closes the endpoint that takes many operations in one body", () => {
    const graphql = "https://api.github.com/graphql";
    const rule = (fields: object) => ({ action: "deny" as const, hosts: ["*.github.com"], ...fields });

    test.each([
      ["a rule about methods holds", { rules: [rule({ methods: ["DELETE"] })] }],
      ["a rule about paths holds", { rules: [rule({ hosts: ["*"], paths: ["/orgs/**"] })] }],
      [
        "network rules hold",
        {
          hostRules: [
            { host: "api.github.com", rules: [{ action: "deny" as const, method: "DELETE", pathPattern: "**" }] },
          ],
        },
      ],
      [
        "all else is allowed behind them",
        { rules: [rule({ methods: ["DELETE"] }), { action: "allow" as const, hosts: ["api.github.com"] }] },
      ],
    ])("where %s", async (_, rules) => {
      const { runId } = await start({ policy: { mode: "strict", ...rules } });
      expect(decide(runId, "POST", graphql)).toBe("deny");
      expect(decide(runId, "POST", `${graphql}/`)).toBe("deny");
      expect(decide(runId, "POST", "https://api.github.com/repos/a/b/issues")).toBe("allow");
    });

    test.each([
      ["no rule is about methods or paths", { rules: [rule({ hosts: ["github.com"] })] }],
      ["the rules are about other hosts", { rules: [rule({ hosts: ["example.test"], paths: ["/x"] })] }],
      [
        "a rule allows it by its path",
        {
          rules: [
            rule({ methods: ["DELETE"] }),
            { action: "allow" as const, hosts: ["api.github.com"], methods: ["POST"], paths: ["/graphql"] },
          ],
        },
      ],
    ])("not where %s", async (_, rules) => {
      const { runId } = await start({ policy: { mode: "strict", ...rules } });
      expect(decide(runId, "POST", graphql)).toBe("allow");
    });
  });

  test("shows the run a placeholder of its own in the variables that clients read, and no real value", async () => {
    const { started, snapshot } = await start();
    const other = await start();
    expect(started.env.GITHUB_TOKEN).toMatch(/^ghp_[A-Za-z0-9]{36}$/);
    expect(started.env.GH_TOKEN).toBe(started.env.GITHUB_TOKEN);
    expect(other.started.env.GITHUB_TOKEN).not.toBe(started.env.GITHUB_TOKEN);
    expect(snapshot?.placeholders).toEqual([{ grant: "hub", text: started.env.GITHUB_TOKEN }]);
    expect(JSON.stringify(started)).not.toContain(VALUE);
    expect(snapshot?.injections.map(({ value }) => value)).toContain(`Bearer ${VALUE}`);
  });

  test("has every form of its value overwritten by as many bytes of the placeholder", async () => {
    const { started, snapshot } = await start();
    const forms = snapshot?.scrub ?? [];
    const basic = Buffer.from(`x-access-token:${VALUE}`).toString("base64");
    expect(forms.map(({ value }) => value)).toEqual(expect.arrayContaining([VALUE, basic]));
    expect(forms.find(({ value }) => value === VALUE)?.overwrite).toBe(
      started.env.GITHUB_TOKEN?.slice(0, VALUE.length),
    );
    for (const { value, overwrite } of forms) expect(Buffer.byteLength(overwrite)).toBe(Buffer.byteLength(value));
  });
});

test("a run of another tool finds the endpoints closed too, and opens nothing by a grant's name", () => {
  const asked = registration({ credentials: [], grants: ["hub", "unknown"], network_allow: ["api.github.com"] });
  const { policy } = guardRegistration(asked, { ...gate, templates });
  const decideFor = (method: string, host: string, path: string) =>
    compilePolicy(policy).decide({ host, port: 443, method, path }).action;
  expect(decideFor("POST", "api.github.com", "/app/installations/1/access_tokens")).toBe("deny");
  expect(decideFor("POST", "api.github.com", "/graphql")).toBe("allow");
  expect(decideFor("GET", "github.com", "/")).toBe("deny");
});

test("a run without isolation gets no credential unless configured, and the setting is named", async () => {
  const refused = start({ isExposed: true, keeper: undefined });
  await expect(refused).rejects.toMatchObject({
    code: "credentials.exposed",
    detail: expect.stringContaining("node.exposeCredentials"),
  });
  expect(gate.registry.get(`run-${count}`)).toBeUndefined();
  const { runId } = await start({ isExposed: true, keeper: undefined }, true);
  expect(gate.registry.get(runId)).toMatchObject({ isExposed: true, place: { kind: "shared" } });
  await expect(start({ isExposed: true, keeper: undefined, grants: [] })).resolves.toBeDefined();
});

test("a grant that is not there, and an id that is live, are refused and nothing is registered", async () => {
  const before = gate.registry.size;
  await expect(start({ grants: ["nothing"] })).rejects.toMatchObject({ code: "grants.not_found" });
  await expect(start({ runId: "run-1" })).rejects.toMatchObject({ code: "runs.id_taken" });
  await expect(start({ runId: ".." })).rejects.toMatchObject({ code: "run.bad_id" });
  expect(gate.registry.size).toBe(before);
});

test("two grants that fill one header of one host are a loud error", async () => {
  const bindings = [
    { hosts: ["api.github.com"], header: "authorization", format: "token {value}", paths: ["/repos/**"] },
  ];
  await gate.credentials.add({
    name: parseResourceName("second"),
    service: undefined,
    bindings,
    value: "another-value",
  });
  const conflicting = start({ grants: ["hub", "second"] });
  await expect(conflicting).rejects.toMatchObject({ code: "runs.credential_conflict" });
  await gate.credentials.remove("second");
});

test("a run that states a loopback host is told, so that loopback goes through the gate too", async () => {
  const rules = [{ action: "allow" as const, hosts: ["localhost:8080"] }];
  const { started } = await start({ grants: [], policy: { mode: "strict", rules } });
  expect(started.statesLoopback).toBe(true);
  expect((await start({ grants: [] })).started.statesLoopback).toBe(false);
});
