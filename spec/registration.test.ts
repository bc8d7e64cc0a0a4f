import { findInFiles, openFakeApi, plantValue, startWorld, type World } from "@gatehouse/testbed";
import { afterAll, beforeAll, expect, test } from "vitest";
import { askThrough, type Registered } from "./registered-run.ts";

let world: World;

beforeAll(async () => {
  world = await startWorld();
});
afterAll(() => world[Symbol.asyncDispose]());

const PLACEHOLDER = "tool-placeholder-0000000000000000";

async function register(body: object): Promise<Registered> {
  const { status, body: answer } = await world.request("POST", "/v1/runs", body);
  expect(status, JSON.stringify(answer)).toBe(201);
  return answer as Registered;
}

test("a substituted token replaces its placeholder in the Authorization header, bare, behind a scheme and inside Basic", async () => {
  const value = plantValue();
  await using api = await openFakeApi({ authority: world.authority });
  const host = `127.0.0.1:${api.port}`;
  const run = await register({
    run_id: "substituted",
    network_allow: [host],
    token_substitutions: [{ host, placeholder: PLACEHOLDER, real_token: value }],
  });
  const basic = (user: string, password: string) => `Basic ${btoa(`${user}:${password}`)}`;
  const forms = [
    [PLACEHOLDER, value],
    [`Bearer ${PLACEHOLDER}`, `Bearer ${value}`],
    [`token ${PLACEHOLDER}`, `token ${value}`],
    [basic("x-access-token", PLACEHOLDER), basic("x-access-token", value)],
    [basic(PLACEHOLDER, ""), basic(value, "")],
  ] as const;
  for (const [sent, expected] of forms) {
    const answer = await askThrough(run, host, { fields: [`Authorization: ${sent}`] });
    expect(answer).toMatch(/^HTTP\/1\.1 200 /);
    expect(api.requests.at(-1)?.headers.authorization).toBe(expected);
    // The service echoes what it received: the run sees its placeholder again.
    expect(answer).not.toContain(value);
  }
  expect(await askThrough(run, host)).toMatch(/^HTTP\/1\.1 200 /);
  expect(api.requests.at(-1)?.headers).not.toHaveProperty("authorization");
  expect(await findInFiles(world.paths.stateDir, value)).toEqual([]);
  expect(world.daemon.log).not.toContain(value);
});

test("a placeholder outside its slot is refused, and nothing is sent", async () => {
  await using api = await openFakeApi({ authority: world.authority });
  await using other = await openFakeApi({ authority: world.authority });
  const [host, elsewhere] = [`127.0.0.1:${api.port}`, `127.0.0.1:${other.port}`];
  const run = await register({
    run_id: "misplaced",
    network_policy: "permissive",
    network_allow: [host, elsewhere],
    token_substitutions: [{ host, placeholder: PLACEHOLDER, real_token: plantValue() }],
  });
  const asks = [
    { path: `/bot${PLACEHOLDER}/send` },
    { path: `/?key=${PLACEHOLDER}` },
    { fields: [`X-Key: ${PLACEHOLDER}`] },
    { fields: [`Authorization: Bearer ${PLACEHOLDER} and more`] },
    { fields: [`Authorization: Bearer a, Bearer ${PLACEHOLDER}`] },
    { method: "TRACE", fields: [`Authorization: Bearer ${PLACEHOLDER}`] },
  ];
  for (const ask of asks) expect(await askThrough(run, host, ask)).toContain("gate.placeholder_misplaced");
  const there = await askThrough(run, elsewhere, { fields: [`Authorization: Bearer ${PLACEHOLDER}`] });
  expect(there).toContain("gate.placeholder_misplaced");
  expect(api.requests).toEqual([]);
  expect(other.requests).toEqual([]);
});

test("a slot names another header, is filled after a restart too, and never in cleartext", async () => {
  const value = plantValue();
  await using api = await openFakeApi({ authority: world.authority });
  await using plain = await openFakeApi();
  const [host, clear] = [`127.0.0.1:${api.port}`, `127.0.0.1:${plain.port}`];
  const slot = { header: "X-Api-Key", placeholder: PLACEHOLDER, value, grant: "theirs" };
  const run = await register({
    run_id: "slotted",
    network_allow: [host, clear],
    slots: [
      { host, kind: "header", ...slot },
      { host: clear, ...slot },
    ],
  });
  await world.daemon.kill();
  await world.daemon.start();
  const { proxy_port } = (await world.request("GET", "/v1/health")).body as Registered;
  const restored = { ...run, proxy_port };
  expect(await askThrough(restored, host, { fields: [`X-Api-Key: ${PLACEHOLDER}`] })).toMatch(/^HTTP\/1\.1 200 /);
  expect(api.requests.at(-1)?.headers["x-api-key"]).toBe(value);
  await world.record({ run: "slotted", decision: "allowed", status: 200 });
  const refused = await fetchPlain(restored, clear, `X-Api-Key: ${PLACEHOLDER}`);
  expect(refused).toContain("gate.placeholder_misplaced");
  expect(plain.requests).toEqual([]);
});

test("slots that cannot be filled in one way are refused at registration", async () => {
  const host = "api.example.test";
  const substitution = { host, placeholder: PLACEHOLDER, real_token: "planted-one-value" };
  const credential = { host, header: "authorization", value: "Bearer other" };
  const bodies = [
    { token_substitutions: [substitution, { ...substitution, real_token: "another" }] },
    { token_substitutions: [substitution], credentials: [credential] },
    { token_substitutions: [{ ...substitution, placeholder: "short" }] },
    { token_substitutions: [{ ...substitution, host: "*" }] },
    { slots: [{ host, header: "Host", placeholder: PLACEHOLDER, value: "a" }] },
    { slots: [{ kind: "path", host, header: "X-Key", placeholder: PLACEHOLDER, value: "a" }] },
    { response_transformers: [{ host, kind: "unheard-of" }] },
  ];
  for (const body of bodies) {
    const { status, body: answer } = await world.request("POST", "/v1/runs", { run_id: "never", ...body });
    expect(status, JSON.stringify(body)).toBe(400);
    expect(answer).toMatchObject({ error: expect.any(String), code: expect.any(String) });
    expect(JSON.stringify(answer)).not.toContain("planted-one-value");
  }
  const { body: runs } = await world.request("GET", "/v1/runs");
  expect(JSON.stringify(runs)).not.toContain("never");
});

test("headers are removed and added on their host, and what a credential fills is not removed", async () => {
  await using api = await openFakeApi({ authority: world.authority });
  const host = `127.0.0.1:${api.port}`;
  const run = await register({
    run_id: "headers",
    network_allow: [host],
    credentials: [{ host, header: "X-Key", value: "planted-header-value" }],
    remove_headers: [
      { host, header_name: "X-Telemetry" },
      { host, header_name: "x-key" },
    ],
    extra_headers: [{ host, header_name: "X-Team", value: "blue" }],
  });
  await askThrough(run, host, { fields: ["X-Telemetry: on", "X-Key: mine"] });
  const headers = api.requests[0]?.headers ?? {};
  expect(headers).toMatchObject({ "x-key": "planted-header-value", "x-team": "blue" });
  expect(headers).not.toHaveProperty("x-telemetry");
});

test("the OAuth workaround answers an empty 200 for a 403 of profile and usage endpoints, and for nothing else", async () => {
  await using api = await openFakeApi({
    authority: world.authority,
    respond: (_received, response) => {
      response.writeHead(403, { "content-type": "application/json" });
      response.end('{"error":"scope"}');
      return true;
    },
  });
  const host = `127.0.0.1:${api.port}`;
  const plain = await register({ run_id: "plain", network_allow: [host] });
  const eased = await register({
    run_id: "eased",
    network_allow: [host],
    response_transformers: [{ host, kind: "oauth-endpoint-workaround" }],
  });
  const path = "/api/oauth/profile";
  expect(await askThrough(plain, host, { path })).toMatch(/^HTTP\/1\.1 403 /);
  const answer = await askThrough(eased, host, { path });
  expect(answer).toMatch(/^HTTP\/1\.1 200 /);
  expect(answer).toMatch(/x-gatehouse-transformed: oauth-endpoint-workaround/i);
  expect(answer).toMatch(/\r\n\r\n\{\}$/);
  expect(await askThrough(eased, host, { path: "/v1/messages" })).toMatch(/^HTTP\/1\.1 403 /);
  expect(await askThrough(eased, host, { path, method: "POST" })).toMatch(/^HTTP\/1\.1 403 /);
});

test("response-scrub keeps the run's values out of a host that has no credential", async () => {
  const value = plantValue();
  await using api = await openFakeApi({
    authority: world.authority,
    respond: (_received, response) => {
      response.writeHead(200, { "content-type": "text/plain" });
      response.end(`it was ${value} all along`);
      return true;
    },
  });
  const host = `127.0.0.1:${api.port}`;
  const run = await register({
    run_id: "scrubbed",
    network_allow: [host],
    credentials: [{ host: "api.example.test", header: "Authorization", value: `Bearer ${value}` }],
    response_transformers: [{ host, kind: "response-scrub" }],
  });
  const answer = await askThrough(run, host);
  expect(answer).toMatch(/^HTTP\/1\.1 200 /);
  expect(answer).not.toContain(value);
});

/** One cleartext request to the proxy. */
async function fetchPlain({ auth_token, proxy_port }: Registered, host: string, line: string): Promise<string> {
  const { connect } = await import("node:net");
  const socket = connect(proxy_port, "127.0.0.1");
  const auth = `Proxy-Authorization: Bearer ${auth_token}`;
  socket.write(`GET http://${host}/ HTTP/1.1\r\nHost: ${host}\r\n${auth}\r\n${line}\r\nConnection: close\r\n\r\n`);
  let answer = "";
  for await (const part of socket) answer += (part as Buffer).toString("latin1");
  return answer;
}
