import { readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import {
  eventually,
  findInFiles,
  openFakeApi,
  plantValue,
  REPOSITORY,
  startWorld,
  type World,
} from "@gatehouse/testbed";
import { afterAll, beforeAll, expect, test } from "vitest";
import { PROBLEMS } from "../packages/core/src/index.ts";
import { askThrough, openTunnel, type Registered } from "./registered-run.ts";

let world: World;

beforeAll(async () => {
  world = await startWorld();
});
afterAll(() => world[Symbol.asyncDispose]());

async function register(body: unknown): Promise<Registered> {
  const { status, body: answer } = await world.request("POST", "/v1/runs", body);
  expect(status, JSON.stringify(answer)).toBe(201);
  return answer as Registered;
}

test("health says who runs, since when, and what it can do", async () => {
  const { status, body } = await world.request("GET", "/v1/health");
  expect(status).toBe(200);
  expect(body).toMatchObject({
    pid: expect.any(Number),
    proxy_port: expect.any(Number),
    run_count: 0,
    started_at: expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/),
    commit: expect.any(String),
    capabilities: expect.any(Array),
  });
  const lock = JSON.parse(await readFile(join(world.paths.stateDir, "daemon.lock"), "utf8"));
  expect(lock).toMatchObject({
    proxy_port: (body as { proxy_port: number }).proxy_port,
    sock_path: expect.any(String),
  });
});

test("the socket and its directory are the owner's alone", async () => {
  expect((await stat(world.paths.stateDir)).mode & 0o777).toBe(0o700);
  expect((await stat(join(world.paths.stateDir, "daemon.sock"))).mode & 0o777).toBe(0o600);
  expect((await stat(join(world.paths.stateDir, "runs.json")).catch(() => ({ mode: 0o600 }))).mode & 0o777).toBe(0o600);
});

test("a run is registered, listed without its token, named, deleted, and its token then refused", async () => {
  const { auth_token, proxy_port } = await register({ run_id: "outside" });
  expect(auth_token).toMatch(/^[0-9a-f]{64}$/);
  expect(proxy_port).toBeGreaterThan(0);
  expect((await world.request("PATCH", `/v1/runs/${auth_token}`, { container_id: "abc" })).status).toBe(204);
  const listed = await world.request("GET", "/v1/runs");
  expect(listed.body).toMatchObject([{ run_id: "outside", container_id: "abc", registered_at: expect.any(String) }]);
  expect(JSON.stringify(listed.body)).not.toContain(auth_token);
  expect(await findInFiles(world.paths.stateDir, auth_token)).toEqual([]);

  expect((await world.request("POST", "/v1/runs", { run_id: "outside" })).status).toBe(409);
  expect((await world.request("POST", "/v1/runs", { run_id: "outside", auth_token })).status).toBe(201);
  const stolen = await world.request("POST", "/v1/runs", { run_id: "another", auth_token });
  expect(stolen).toMatchObject({ status: 409, body: { code: "runs.token_conflict" } });

  expect((await world.request("DELETE", `/v1/runs/${auth_token}`)).status).toBe(204);
  expect((await world.request("DELETE", `/v1/runs/${auth_token}`)).status).toBe(404);
  expect((await world.request("PATCH", `/v1/runs/${auth_token}`, { container_id: "x" })).status).toBe(404);
  const revived = await world.request("POST", "/v1/runs", { run_id: "outside", auth_token });
  expect(revived).toMatchObject({ status: 410, body: { code: "runs.token_revoked" } });
});

test("unknown paths are 404, other methods 405, and fields that are not built 400 by name", async () => {
  expect((await world.request("GET", "/v1/nothing")).status).toBe(404);
  expect((await world.request("DELETE", "/v1/health")).status).toBe(405);
  expect((await world.request("POST", "/v1/runs", {})).status).toBe(400);
  expect((await world.request("POST", "/v1/runs", { run_id: ".." })).status).toBe(400);
  expect((await world.request("POST", "/v1/runs", { run_id: "a", network_policy: "lax" })).status).toBe(400);
  for (const field of [
    { policy_yaml: "rules: []" },
    { policy_rule_sets: [{}] },
    { aws_config: { role_arn: "a", region: "b" } },
  ]) {
    const { status, body } = await world.request("POST", "/v1/runs", { run_id: "a", ...field });
    expect(status).toBe(400);
    expect((body as { error: string }).error).toContain(Object.keys(field)[0]);
  }
  const conflict = await world.request("POST", "/v1/runs", {
    run_id: "a",
    credentials: ["planted-one", "planted-two"].map((value) => ({
      host: "api.example.test",
      header: "Authorization",
      value,
    })),
  });
  expect(conflict).toMatchObject({ status: 400, body: { code: "runs.credential_conflict" } });
  expect((await world.request("GET", "/v1/runs")).body).toEqual([]);
});

test("every call that is served stands in the reference, and every code that it states exists", async () => {
  const page = await readFile(join(REPOSITORY, "docs/reference/local-api.md"), "utf8");
  const [, refusals = ""] = page.split(/^## (?:Refusals|Explaining .*)$/m);
  const stated = [...page.slice(0, page.indexOf("## ")).matchAll(/`([A-Z]+ \/v1\/[^`?]*)/g)].map(([, call]) => call);
  expect(new Set(stated)).toEqual(new Set(await servedCalls()));
  const codes = [...refusals.matchAll(/`([a-z_]+\.[a-z_]+)`/g)].map(([, code]) => String(code));
  expect(codes.filter((code) => !(code in PROBLEMS))).toEqual([]);
  expect(codes.length).toBeGreaterThan(40);
});

/** Methods and paths of the routes' tables, as they stand in the code. */
async function servedCalls(): Promise<readonly string[]> {
  const folders = ["packages/gate/src/local-api", "packages/node/src/daemon", "packages/node/src/routes"];
  const files = await Promise.all(
    folders.map(async (folder) =>
      (await readdir(join(REPOSITORY, folder))).map((name) => join(REPOSITORY, folder, name)),
    ),
  );
  const texts = await Promise.all(files.flat().map((path) => readFile(path, "utf8")));
  const routes = texts.flatMap((text) => [
    ...text.matchAll(/method: "([A-Z]+)",\s*path: "(\/v1\/[^"]+)",\s*(?:handle|relay)/g),
  ]);
  return routes.map(([, method, path]) => `${method} ${path}`);
}

test("key names are matched without case and unknown fields are ignored", async () => {
  const { auth_token } = await register({ Run_ID: "cased", NETWORK_ALLOW: ["a.example.test"], later_field: 1 });
  expect((await world.request("DELETE", `/v1/runs/${auth_token}`)).status).toBe(204);
});

test("a registered run's credential opens nothing until a rule does, then is attached at the shared listener", async () => {
  const value = plantValue();
  await using api = await openFakeApi({ authority: world.authority, expects: `Bearer ${value}` });
  const host = `127.0.0.1:${api.port}`;
  const credentials = [{ host, header: "Authorization", value: `Bearer ${value}`, grant: "theirs" }];
  const closed = await register({ run_id: "closed", credentials });
  expect(await askThrough(closed, host)).toMatch(/^HTTP\/1\.1 403 /);
  expect(api.connections).toBe(0);

  const open = await register({ run_id: "open", credentials, network_allow: [host] });
  expect(await askThrough(open, host)).toMatch(/^HTTP\/1\.1 200 /);
  expect(api.requests[0]?.headers.authorization).toBe(`Bearer ${value}`);
  expect(await findInFiles(world.paths.stateDir, value)).toEqual([]);
  await world.record({ run: "open", decision: "allowed", status: 200 });
  await world.record({ run: "closed", decision: "denied", code: "gate.policy_denied" });
  for (const { auth_token } of [closed, open]) await world.request("DELETE", `/v1/runs/${auth_token}`);
});

test("deleting a run cuts its open tunnel", async () => {
  await using api = await openFakeApi({ authority: world.authority });
  const host = `127.0.0.1:${api.port}`;
  const run = await register({ run_id: "cut", network_allow: [host] });
  const tunnel = await openTunnel(run, host);
  expect(tunnel.text).toMatch(/^HTTP\/1\.1 200 /);
  expect((await world.request("DELETE", `/v1/runs/${run.auth_token}`)).status).toBe(204);
  await eventually("the tunnel's end", () => tunnel.isClosed);
  expect(await askThrough(run, host)).toMatch(/^HTTP\/1\.1 407 /);
});

test("network rules come before the allowed hosts, and the first that matches decides", async () => {
  await using api = await openFakeApi({ authority: world.authority });
  const host = `127.0.0.1:${api.port}`;
  const run = await register({
    run_id: "ruled",
    network_allow: [host],
    network_rules: [{ host, rules: [{ action: "deny", method: "GET", path_pattern: "/private/**" }] }],
  });
  expect(await askThrough(run, host, { path: "/public" })).toMatch(/^HTTP\/1\.1 200 /);
  expect(await askThrough(run, host, { path: "/private/a" })).toMatch(/^HTTP\/1\.1 403 /);
  await world.request("DELETE", `/v1/runs/${run.auth_token}`);
  expect(api.requests.map(({ url }) => url)).toEqual(["/public"]);
});

test("hundreds of runs are registered at once, found again after a restart, and deleted", async () => {
  await using large = await startWorld();
  const count = 500;
  const tokens = await Promise.all(
    Array.from({ length: count }, async (_, index) => {
      const { body } = await large.request("POST", "/v1/runs", {
        run_id: `run-${index}`,
        network_allow: ["a.example.test"],
      });
      return (body as Registered).auth_token;
    }),
  );
  await large.daemon.kill();
  await large.daemon.start();
  expect((await large.request("GET", "/v1/runs")).body).toHaveLength(count);
  const answers = await Promise.all(tokens.map((token) => large.request("DELETE", `/v1/runs/${token}`)));
  expect(answers.filter(({ status }) => status !== 204)).toEqual([]);
});

test("shutdown is answered, then everything ends in order", async () => {
  const ending = await startWorld();
  expect((await ending.request("POST", "/v1/shutdown")).status).toBe(200);
  await eventually("the daemon's end", () => !ending.daemon.isRunning);
  await ending[Symbol.asyncDispose]();
});
