import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import {
  openFakeGit,
  openFakeNpmRegistry,
  plantValue,
  type RunOptions,
  SANDBOX_NODE,
  startWorld,
  type World,
} from "@gatehouse/testbed";
import { afterAll, beforeAll, expect, test } from "vitest";
import { findInSandboxes, openGrantedApi } from "./granted-api.ts";

let world: World;

beforeAll(async () => {
  world = await startWorld();
});
afterAll(() => world[Symbol.asyncDispose]());

/** Runs a shell script in a sandbox and searches the sandbox for a value before it ends. */
async function runAndSearch(script: string, value: string, options: RunOptions) {
  const running = world.startRun(["sh", "-c", `${script}\necho "ended with $?"; read -r _ || true`], options);
  const last = await running.line("the end of the script", (line) => line.startsWith("ended with "), 60_000);
  const found = await findInSandboxes(world, value);
  running.endInput();
  const { stdout, stderr } = await running.finished;
  return { code: Number(last.slice("ended with ".length)), stdout, stderr, found };
}

test("curl in a sandbox uses a credential that it cannot see, and gets 401 without the grant", async () => {
  await using granted = await openGrantedApi(world);
  const { api, value, grant, policy, origin } = granted;
  const script = `curl -sS -D head.txt -w ' %{http_code}\\n' ${origin}/me`;
  const { stdout, stderr, code, found } = await runAndSearch(script, value, { grants: [grant], policy });
  expect(code, stderr).toBe(0);
  expect(stdout).toContain(" 200\n");
  expect(stdout).not.toContain(value);
  expect(found).toEqual([]);
  expect(api.requests[0]?.headers.authorization).toBe(`Bearer ${value}`);
  await world.record({ host: "api.example.test", port: api.port, decision: "allowed", status: 200 });

  const without = await world.run(["curl", "-sS", "-w", " %{http_code}", `${origin}/me`], { policy });
  expect(without.stdout).toContain(" 401");
  expect(api.requests.at(-1)?.headers.authorization).toBeUndefined();
});

test("git clones and pushes with a credential that it cannot see, and can do neither without the grant", async () => {
  const value = plantValue("ghp_");
  const expects = `Basic ${btoa(`x-access-token:${value}`)}`;
  await using host = await openFakeGit({ authority: world.authority, expects });
  const address = `git.example.test:${host.port}`;
  await world.addCredential("git-host", { host: address, value, format: "Basic x-access-token:{value}" });
  const policy = await world.allowServices(address);
  const script = `
    set -e
    git clone --quiet https://${address}/project.git cloned
    cd cloned
    git -c user.name=Ada -c user.email=ada@example.test commit --quiet --allow-empty -m "From the sandbox"
    git push --quiet origin main`;
  const { code, stdout, stderr, found } = await runAndSearch(`(${script})`, value, { grants: ["git-host"], policy });
  expect(code, stdout + stderr).toBe(0);
  expect(found).toEqual([]);
  expect(await host.subjects("main")).toEqual(["From the sandbox", "Begin"]);
  expect(host.authorizations).toContain(expects);

  const before = host.authorizations.length;
  const env = { GIT_TERMINAL_PROMPT: "0" };
  const clone = ["git", "clone", `https://${address}/project.git`, "again"];
  expect((await world.run(clone, { policy, env })).code).not.toBe(0);
  const push = ["git", "-C", "cloned", "push", "origin", "main:other"];
  expect((await world.run(push, { policy, env })).code).not.toBe(0);
  expect(host.authorizations.slice(before)).not.toContain(expects);
  expect(host.authorizations.length).toBeGreaterThan(before);
  expect(await host.subjects("other")).toEqual([]);
});

test("npm installs from a registry with a token that it cannot see, and gets E401 without the grant", async () => {
  const value = plantValue("npm_");
  const origin = "https://registry.example.test";
  const expects = `Bearer ${value}`;
  await using registry = await openFakeNpmRegistry({ authority: world.authority, expects, origin });
  const address = `registry.example.test:${registry.port}`;
  await world.addCredential("registry", { host: address, value });
  const policy = await world.allowServices(address);
  const project = join(world.paths.workspace, "project");
  await mkdir(project);
  await writeFile(join(project, "package.json"), "{}");
  await writeFile(join(project, ".npmrc"), `registry=https://${address}/\nupdate-notifier=false\n`);

  const denied = await world.run(["sh", "-c", "cd project && npm install left-gate"], { policy });
  expect(denied.code).not.toBe(0);
  expect(denied.stderr).toContain("E401");
  const script = "(cd project && npm install --no-audit --no-fund left-gate)";
  const { code, stdout, stderr, found } = await runAndSearch(script, value, { grants: ["registry"], policy });
  expect(code, stdout + stderr).toBe(0);
  expect(found).toEqual([]);
  expect(await readFile(join(project, "node_modules/left-gate/index.js"), "utf8")).toContain("left-gate works");
  expect(registry.requests.filter(({ headers }) => headers.authorization === expects).length).toBeGreaterThan(1);
});

test("Node's fetch uses a credential that it cannot see, and gets 401 without the grant", async () => {
  await using granted = await openGrantedApi(world);
  const { api, value, grant, policy, origin } = granted;
  const program = `
    const answer = await fetch("${origin}/things", { method: "POST", body: "hello" });
    console.log(answer.status, await answer.text());
    process.stdin.resume();`;
  await writeFile(join(world.paths.workspace, "fetch.mjs"), program);
  const running = world.startRun([SANDBOX_NODE, "fetch.mjs"], { grants: [grant], policy });
  const line = await running.line("the answer", (text) => text.startsWith("200 "));
  expect(await findInSandboxes(world, value)).toEqual([]);
  running.endInput();
  expect((await running.finished).code).toBe(0);
  expect(line).not.toContain(value);
  expect(api.requests[0]).toMatchObject({
    method: "POST",
    body: "hello",
    headers: { authorization: `Bearer ${value}` },
  });

  const without = await world.run([SANDBOX_NODE, "fetch.mjs"], { policy });
  expect(without.stdout).toMatch(/^401 /);
});
