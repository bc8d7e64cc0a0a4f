import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { PolicyRule } from "@gatehouse/core";
import { plantValue, startWorld, type World } from "@gatehouse/testbed";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type GrantedApi, openGrantedApi } from "./granted-api.ts";

let world: World;
let granted: GrantedApi;

beforeAll(async () => {
  world = await startWorld();
  granted = await openGrantedApi(world);
});
afterAll(async () => {
  await granted[Symbol.asyncDispose]();
  await world[Symbol.asyncDispose]();
});

async function write(name: string, text: string): Promise<string> {
  const path = join(world.paths.directory, name);
  await writeFile(path, text);
  return path;
}

describe("policy explain", () => {
  test("of a run says what the gate then does, with grant and header and without the value", async () => {
    const flags = ["--agent", "asked"];
    const running = world.startRun(["sleep", "60"], { grants: [granted.grant], policy: granted.policy, flags });
    const [runId = ""] = await waitForRun();
    const url = `${granted.origin}/x/../y?key=1`;
    const explained = await world.cliJson(["policy", "explain", "get", url, "--run", runId]);
    expect(explained).toMatchObject({
      action: "allow",
      rule: "rules[0]",
      request: { method: "GET", host: "api.example.test", port: granted.api.port, path: "/y", query: [] },
      injects: [{ header: "authorization", grant: granted.grant }],
      destination: { ranges: ["127.0.0.0/8"], addresses: ["127.0.0.1"] },
    });
    expect(JSON.stringify(explained)).not.toContain(granted.value);
    const denied = await world.cli(["policy", "explain", "GET", "https://other.example.test/", "--run", runId]);
    expect(denied.code).toBe(0);
    expect(denied.stdout).toMatch(/^denied\n {2}rule +default\n/);
    running.kill("SIGTERM");
    await running.finished;
  });

  test("of a run that has ended goes by the policy that it had, with its grants as they are now", async () => {
    const flags = ["-d"];
    const started = await world.startRun(["true"], { grants: [granted.grant], policy: granted.policy, flags }).finished;
    const runId = started.stdout.trim();
    await expect.poll(() => world.liveRuns(), { timeout: 10_000 }).not.toContain(runId);
    const args = ["policy", "explain", "GET", `${granted.origin}/y`, "--run", runId];
    const live = { action: "allow", rule: "rules[0]", injects: [{ header: "authorization", grant: granted.grant }] };
    expect(await world.cliJson(args)).toMatchObject({ ...live, run_ended: true });
    const told = await world.cli(args);
    expect(told.stdout).toMatch(/^allowed\n/);
    expect(told.stderr).toContain(`${runId} has ended`);
    const other = await world.cliJson(["policy", "explain", "GET", "https://other.example.test/", "--run", runId]);
    expect(other).toMatchObject({ action: "deny", rule: "default" });
    await world.addCredential("for-a-while", { host: granted.host, value: plantValue() });
    const second = await world.startRun(["true"], { grants: ["for-a-while"], policy: granted.policy, flags }).finished;
    await world.cli(["revoke", "for-a-while"]);
    const after = await world.cli(["policy", "explain", "GET", `${granted.origin}/y`, "--run", second.stdout.trim()]);
    expect(after).toMatchObject({ code: 0, stderr: expect.stringContaining("taken back since: for-a-while") });
    expect(after.stdout).not.toContain("(grant");
  });

  test("of a run that is not there ends with 5, one without a daemon answers from the file", async () => {
    const gone = await world.cli(["policy", "explain", "GET", "https://a.test/", "--run", "never"]);
    expect(gone).toMatchObject({ code: 5, stderr: expect.stringContaining("--policy FILE") });
    const policy = await write("explained.yaml", "mode: strict\nrules:\n  - action: allow\n    hosts: [a.test]\n");
    const nowhere = ["--state-dir", join(world.paths.directory, "nowhere")];
    const offline = await world.cli(["policy", "explain", "GET", "https://a.test/", "--policy", policy, ...nowhere]);
    expect(offline).toMatchObject({ code: 0, stdout: expect.stringContaining(`rules[0] (${policy}:3:5)`) });
  });

  test("with grants says what a run with them would get", async () => {
    const args = ["policy", "explain", "GET", `${granted.origin}/`, "--grant", granted.grant];
    expect(await world.cliJson([...args, "--policy", granted.policy])).toMatchObject({
      action: "allow",
      injects: [{ header: "authorization", grant: granted.grant }],
    });
    // The grant opens the host, not its loopback address.
    expect(await world.cliJson(args)).toMatchObject({ action: "deny", code: "gate.address_forbidden" });
  });

  async function waitForRun(): Promise<readonly string[]> {
    for (;;) {
      const runs = await world.liveRuns();
      if (runs.length > 0) return runs;
    }
  }
});

describe("policy suggest", () => {
  test("turns refusals into a policy under which the same run is let through, and no other request", async () => {
    const url = (path: string) => `${granted.origin}${path}`;
    const ask = (path: string) => ["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", url(path)];
    const refused = await world.run(ask("/wanted"), { grants: [] });
    expect(refused.stdout).toBe("000");
    await world.record({ host: "api.example.test", method: "CONNECT", decision: "denied" });
    const opening = { action: "allow", hosts: [granted.host], methods: ["HEAD"], paths: ["/"], requests: 1 };
    expect(await suggested()).toEqual([{ ...opening, opens_tunnel: true }]);
    // What is printed for people is a policy's rules as they stand.
    const printed = await world.cli(["policy", "suggest"]);
    const policyFile = await write("opening.yaml", `mode: strict\n${printed.stdout}`);
    expect((await world.run(ask("/wanted"), { policy: policyFile })).stdout).toBe("403");
    await world.record({ host: "api.example.test", method: "GET", decision: "denied" });
    const [wanted] = await suggested();
    expect(wanted).toMatchObject({ hosts: [granted.host], methods: ["GET"], paths: ["/wanted"], opens_tunnel: false });
    // The fake service stands on loopback, which no suggestion opens.
    const { requests: _, opens_tunnel: __, ...rule } = wanted as Suggested;
    const policy = await world.writePolicy([{ ...rule, cidr: ["127.0.0.0/8"] }]);
    const asked = granted.api.requests.length;
    expect((await world.run(ask("/wanted"), { policy })).stdout).toBe("401");
    expect((await world.run(ask("/other"), { policy })).stdout).toBe("403");
    expect(granted.api.requests.slice(asked).map(({ url: seen }) => seen)).toEqual(["/wanted"]);
  });

  test("leaves out what is too old, and refuses a time and a run that are none", async () => {
    expect(await world.cliJson(["policy", "suggest", "--since", "0s"])).toMatchObject({ rules: [] });
    expect((await world.cli(["policy", "suggest", "--since", "yesterday"])).code).toBe(2);
    expect((await world.cli(["policy", "suggest", "--run", "nobody"])).code).toBe(5);
  });

  type Suggested = PolicyRule & { readonly requests: number; readonly opens_tunnel: boolean };

  async function suggested(): Promise<readonly Suggested[]> {
    return ((await world.cliJson(["policy", "suggest"])) as { readonly rules: readonly Suggested[] }).rules;
  }
});

test("a run under a policy file is refused with the place that is wrong in it", async () => {
  const policy = await write("broken.yaml", "mode: strict\nrules:\n  - action: allow\n  hosts: [\n");
  const { code, stderr } = await world.run(["true"], { policy });
  expect(code).toBe(125);
  expect(stderr).toContain("broken.yaml:");
  expect(await readFile(policy, "utf8")).toContain("mode: strict");
});
