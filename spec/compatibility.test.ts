import { createHash } from "node:crypto";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type FakeApi, findInFiles, openFakeApi, plantValue, startWorld, type World } from "@gatehouse/testbed";
import { afterAll, beforeAll, expect, test } from "vitest";
import { askThrough, type Registered } from "./registered-run.ts";

const PLACEHOLDER = "tool-placeholder-0000000000000000";
const CALL = '{"jsonrpc":"2.0","id":1,"method":"tools/list"}';

let world: World;
let api: FakeApi;
let host: string;
const [value, substituted] = [plantValue(), plantValue()];

beforeAll(async () => {
  world = await startWorld();
  api = await openFakeApi({
    authority: world.authority,
    respond: ({ url }, response) => {
      if (url !== "/oauth/profile") return false;
      response.writeHead(403);
      response.end();
      return true;
    },
  });
  host = `127.0.0.1:${api.port}`;
});
afterAll(async () => {
  await world[Symbol.asyncDispose]();
  await api[Symbol.asyncDispose]();
});

/** As a tool with structs, of a version that knows more than this one, writes what it wants. */
function toolBody(runId: string): object {
  return {
    Run_ID: runId,
    auth_token: "",
    CREDENTIALS: [{ host, header: "X-Service-Key", value, grant: "example", scopes: ["later"] }],
    extra_headers: [{ host, header_name: "X-Team", value: "blue" }],
    remove_headers: [{ host, Header_Name: "X-Telemetry" }],
    token_substitutions: [{ host, placeholder: PLACEHOLDER, real_token: substituted }],
    response_transformers: [{ host, kind: "oauth-endpoint-workaround" }],
    mcp_servers: [
      { name: "docs", url: `https://${host}/mcp`, auth: { grant: "example", header: "X-Service-Key", type: "token" } },
    ],
    network_allow: [host],
    network_rules: [{ host, rules: [{ action: "deny", method: "GET", path_pattern: "/private/**", id: 7 }] }],
    grants: null,
    aws_config: null,
    policy_rule_sets: [],
    introduced_later: { nested: [null] },
  };
}

/** Everything that a registration of a tool promises, asked of the gate. */
async function expectServed(run: Registered): Promise<void> {
  const before = api.requests.length;
  const fields = [`Authorization: Bearer ${PLACEHOLDER}`, "X-Telemetry: on"];
  expect(await askThrough(run, host, { fields })).toMatch(/^HTTP\/1\.1 200 /);
  const { headers } = api.requests[before] ?? { headers: {} };
  expect(headers).toMatchObject({
    authorization: `Bearer ${substituted}`,
    "x-service-key": value,
    "x-team": "blue",
  });
  expect(headers).not.toHaveProperty("x-telemetry");
  expect(await askThrough(run, host, { path: "/oauth/profile" })).toMatch(/^HTTP\/1\.1 200 /);
  expect(await askThrough(run, host, { path: "/private/a" })).toMatch(/^HTTP\/1\.1 403 /);
  const relay = `http://127.0.0.1:${run.proxy_port}/mcp/${run.auth_token}`;
  const answer = await fetch(`${relay}/docs`, { method: "POST", body: CALL });
  expect(answer.status).toBe(200);
  expect(await answer.text()).not.toContain(value);
  expect((await fetch(`${relay}/other`)).status).toBe(404);
  expect(api.requests.slice(before).map(({ method, url }) => `${method} ${url}`)).toEqual([
    "GET /",
    "GET /oauth/profile",
    "POST /mcp",
  ]);
  expect(api.requests.at(-1)).toMatchObject({ body: CALL, headers: { "x-service-key": value } });
}

async function health(): Promise<{ readonly proxy_port: number; readonly runs_refused: readonly unknown[] }> {
  return (await world.request("GET", "/v1/health")).body as Awaited<ReturnType<typeof health>>;
}

test("a run that an existing tool registers is served in full, and the same after the daemon was killed", async () => {
  const { status, body } = await world.request("POST", "/v1/runs", toolBody("tool"));
  expect(status, JSON.stringify(body)).toBe(201);
  const run = body as Registered;
  await expectServed(run);
  await world.daemon.kill();
  await world.daemon.start();
  await expectServed({ ...run, proxy_port: (await health()).proxy_port });
  await world.record({ run: "tool", url: `https://${host}/mcp`, status: 200 });
  for (const secret of [value, substituted, run.auth_token]) {
    expect(await findInFiles(world.paths.stateDir, secret)).toEqual([]);
    expect(world.daemon.log).not.toContain(secret);
  }
  expect((await world.request("DELETE", `/v1/runs/${run.auth_token}`)).status).toBe(204);
});

test("a container is named by callers of any version, and nothing else is", async () => {
  const run = (await world.request("POST", "/v1/runs", { run_id: "named" })).body as Registered;
  const patch = async (body: unknown) => (await world.request("PATCH", `/v1/runs/${run.auth_token}`, body)).status;
  expect(await patch({ container_id: "" })).toBe(400);
  expect(await patch({ container_id: null })).toBe(400);
  expect(await patch({ containerId: "camel" })).toBe(400);
  expect(await patch([])).toBe(400);
  const [before] = (await world.request("GET", "/v1/runs")).body as readonly object[];
  expect(before).not.toHaveProperty("container_id");
  expect(await patch({ Container_ID: "c1", introduced_later: { a: 1 }, image: null })).toBe(204);
  expect((await world.request("GET", "/v1/runs")).body).toMatchObject([{ run_id: "named", container_id: "c1" }]);
  expect(await world.cliJson(["ls"])).toMatchObject([{ run_id: "named", external: true, container_id: "c1" }]);
  expect((await world.cli(["ls"])).stdout).toMatch(/^named +registered +- +external +- .* container c1$/m);
  expect((await world.request("DELETE", `/v1/runs/${run.auth_token}`)).status).toBe(204);
});

test("a capability stands in health for everything that a caller may rely on", async () => {
  const { capabilities } = (await world.request("GET", "/v1/health")).body as { capabilities: readonly string[] };
  expect(capabilities).toEqual(expect.arrayContaining(["runs", "runs.containers", "runs.slots", "runs.mcp_servers"]));
  expect(new Set(capabilities).size).toBe(capabilities.length);
});

test("a run that a newer daemon left with what this one does not have is refused at the gate, said, and kept", async () => {
  const tokens = ["ab", "cd"].map((pair) => pair.repeat(32));
  const entries = tokens.map((token, index) => ({
    run_id: `left-${index}`,
    token_hash: createHash("sha256").update(token).digest("hex"),
    registered_at: 1_700_000_000_000,
    grants: [],
    placeholders: {},
    policy: { mode: "strict", allow: [host] },
    remove_headers: [],
    ...(index === 0 ? { needs: ["time_windows"], time_windows: ["never"] } : {}),
  }));
  const path = join(world.paths.stateDir, "runs.json");
  await world.daemon.kill();
  await writeFile(path, JSON.stringify(entries), { mode: 0o600 });
  await world.daemon.start();
  const { proxy_port, runs_refused } = await health();
  expect(runs_refused).toMatchObject([{ run_id: "left-0", reason: expect.stringContaining("time_windows") }]);
  const [newer = "", older = ""] = tokens;
  const before = api.requests.length;
  expect(await askThrough({ auth_token: newer, proxy_port }, host)).toMatch(/^HTTP\/1\.1 407 /);
  expect(api.requests).toHaveLength(before);
  expect(await askThrough({ auth_token: older, proxy_port }, host)).toMatch(/^HTTP\/1\.1 200 /);
  expect((await world.request("POST", "/v1/runs", { run_id: "meanwhile" })).status).toBe(201);
  const { runs } = JSON.parse(await readFile(path, "utf8")) as { runs: readonly object[] };
  expect(runs).toContainEqual(entries[0]);
  expect((await world.request("DELETE", `/v1/runs/${newer}`)).status).toBe(204);
  expect((await health()).runs_refused).toEqual([]);
});
