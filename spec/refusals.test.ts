import { openFakeApi, plantValue, startWorld, type World } from "@gatehouse/testbed";
import { afterAll, beforeAll, expect, test } from "vitest";
import { openGrantedApi } from "./granted-api.ts";
import { get, type RawAnswer, startRawClient } from "./raw-proxy-client.ts";

let world: World;

beforeAll(async () => {
  world = await startWorld();
});
afterAll(() => world[Symbol.asyncDispose]());

/** The code of a refusal, checked to be one that an agent can read. */
function refusalCode({ status, head, body }: RawAnswer): string {
  expect(head?.toLowerCase()).toContain("content-type: application/problem+json");
  const problem = JSON.parse(body ?? "") as { readonly code: string };
  expect(problem).toMatchObject({ status, title: expect.any(String), detail: expect.any(String) });
  expect(head).toMatch(new RegExp(`x-gatehouse-denied: ${problem.code}`, "i"));
  return problem.code;
}

test("a host that no rule allows is refused before the tunnel, without contact, and recorded", async () => {
  await using granted = await openGrantedApi(world);
  await using other = await openFakeApi({ authority: world.authority });
  await using client = await startRawClient(world, { grants: [granted.grant], policy: granted.policy });
  const answer = await client.step({ connect: `denied.example.test:${other.port}` });
  expect(answer.status).toBe(403);
  expect(refusalCode(answer)).toBe("gate.policy_denied");
  expect(JSON.parse(answer.body ?? "")).toMatchObject({
    type: expect.any(String),
    rule: expect.any(String),
    host: expect.stringContaining("denied.example.test"),
    allow_hint: expect.any(String),
    retry: expect.anything(),
  });
  expect(other.connections).toBe(0);
  const record = await world.record({ host: "denied.example.test", port: other.port, decision: "denied" });
  expect(record.code).toBe("gate.policy_denied");
});

test("rules of method and path hold inside the tunnel, on the normalised path", async () => {
  await using api = await openFakeApi({ authority: world.authority });
  const host = `api.example.test:${api.port}`;
  const policy = await world.writePolicy([
    { action: "deny", hosts: [host], paths: ["/private/**"], reason: "Private things stay." },
    { action: "allow", hosts: [host], methods: ["GET"], cidr: ["127.0.0.0/8"] },
  ]);
  await using client = await startRawClient(world, { policy });
  const ask = async (path: string, method = "GET") => {
    await client.step({ connect: host });
    await client.step({ tls: true, sni: "api.example.test" });
    return client.step({ send: get(host, path).replace("GET", method) });
  };
  expect((await ask("/public")).status).toBe(200);
  const refused = await ask("/private/x");
  expect(refusalCode(refused)).toBe("gate.policy_denied");
  expect(refused.body).toContain("Private things stay.");
  for (const path of ["/public/../private/x", "//private/x", "/%70rivate/x", "/./private/x", "/private;a=b/x"]) {
    expect((await ask(path)).status, path).toBe(403);
  }
  for (const path of ["/%2fprivate/x", "/a%5cb", "/%00", "/%25%32%66"]) {
    expect([400, 403], path).toContain((await ask(path)).status);
  }
  expect((await ask("/public", "DELETE")).status).toBe(403);
  expect(api.requests.map(({ url }) => url)).toEqual(["/public"]);
});

test("what a person's rules deny stays denied on a host that a grant opens", async () => {
  await using granted = await openGrantedApi(world);
  const { api, grant, host, origin, value } = granted;
  const policy = await world.writePolicy([
    { action: "deny", hosts: [host], paths: ["/private/**"], reason: "Not for agents." },
    { action: "deny", hosts: [host], methods: ["DELETE"] },
    // States where the service is; no request has this path.
    { action: "allow", hosts: [host], cidr: ["127.0.0.0/8"], paths: ["/nothing"] },
  ]);
  const ask = (...args: readonly string[]) => world.run(["curl", "-sS", ...args], { grants: [grant], policy });
  const refused = [await ask(`${origin}/private/x`), await ask("-X", "DELETE", `${origin}/x`)];
  for (const { stdout } of refused) expect(JSON.parse(stdout)).toMatchObject({ code: "gate.policy_denied" });
  expect(JSON.parse(refused[0]?.stdout ?? "")).toMatchObject({ rule: "rules[0]", detail: "Not for agents." });
  expect(api.requests).toEqual([]);
  await ask(`${origin}/open`);
  expect(api.requests.map(({ url, headers }) => [url, headers.authorization])).toEqual([["/open", `Bearer ${value}`]]);
});

test("the sandbox's own authentication is removed on every host under a strict policy", async () => {
  await using api = await openFakeApi({ authority: world.authority });
  const host = `api.example.test:${api.port}`;
  const policy = await world.allowServices(host);
  const sent = ["Authorization: Bearer attackers", "Cookie: session=attackers", "X-Api-Key: attackers"];
  const script = [
    "curl",
    "-sS",
    ...sent.flatMap((field) => ["-H", field]),
    `https://ada:attackers@${host}/?api_key=attackers&q=1`,
  ];
  const { code, stderr } = await world.run(script, { policy });
  expect(code, stderr).toBe(0);
  expect(api.requests).toHaveLength(1);
  expect(JSON.stringify(api.requests)).not.toContain("attackers");
  expect(JSON.stringify(api.requests)).not.toContain(btoa("ada:attackers"));
  expect(api.requests[0]?.url).toContain("q=1");
});

test("a header that a grant owns is replaced by the grant's value", async () => {
  await using granted = await openGrantedApi(world);
  const { api, value, grant, policy, origin } = granted;
  await world.run(["curl", "-sS", "-H", "Authorization: Bearer attackers", origin], { grants: [grant], policy });
  expect(api.requests.map(({ headers }) => headers.authorization)).toEqual([`Bearer ${value}`]);
});

test("override and forwarding headers do not reach the service", async () => {
  await using api = await openFakeApi({ authority: world.authority });
  const host = `api.example.test:${api.port}`;
  const policy = await world.allowServices(host);
  const sent = [
    "X-HTTP-Method-Override: DELETE",
    "X-Original-URL: /private",
    "X-Forwarded-Host: other",
    "Forwarded: for=1",
  ];
  await world.run(["curl", "-sS", ...sent.flatMap((field) => ["-H", field]), `https://${host}/`], { policy });
  expect(api.requests).toHaveLength(1);
  const names = Object.keys(api.requests[0]?.headers ?? {});
  expect(names.filter((name) => /override|original|forward|^proxy-/.test(name))).toEqual([]);
});

test("an authority, SNI and Host that disagree are refused, and nothing is sent", async () => {
  await using granted = await openGrantedApi(world);
  await using other = await openFakeApi({ authority: world.authority });
  const elsewhere = `other.example.test:${other.port}`;
  const policy = await world.allowServices(granted.host, elsewhere);
  await using client = await startRawClient(world, { grants: [granted.grant], policy });

  // The Host of another service inside a tunnel.
  await client.step({ connect: elsewhere });
  await client.step({ tls: true, sni: "other.example.test" });
  const swapped = await client.step({ send: get(granted.host) });
  expect(swapped.status).toBe(403);
  expect(refusalCode(swapped)).toBe("gate.destination_mismatch");

  // The SNI of another service: no handshake, or a refusal after it.
  await client.step({ connect: elsewhere });
  const shaken = await client.step({ tls: true, sni: "api.example.test" });
  if (!shaken.closed) expect((await client.step({ send: get(granted.host) })).status ?? 403).toBe(403);

  // The same name on another port.
  await client.step({ connect: granted.host });
  await client.step({ tls: true, sni: "api.example.test" });
  expect((await client.step({ send: get(`api.example.test:${other.port}`) })).status).toBe(403);
  expect(granted.api.requests).toEqual([]);
  expect(other.requests).toEqual([]);
});

test("no spelling of a loopback, metadata or mapped address is dialed, permissive policy included", async () => {
  await using api = await openFakeApi({ authority: world.authority });
  const policy = await world.writePolicy([{ action: "allow", hosts: ["*"], ports: [api.port] }]);
  await using client = await startRawClient(world, { policy });
  const spellings = [
    "127.0.0.1",
    "127.0.0.2",
    "0.0.0.0",
    "2130706433",
    "0x7f000001",
    "0177.0.0.1",
    "127.1",
    "localhost",
    "localhost.",
    "[::1]",
    "[::]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[64:ff9b::7f00:1]",
    "[2002:7f00:1::]",
    "169.254.169.254",
    "[fe80::1]",
    "[fd00:ec2::254]",
    "10.0.0.1",
    "api.example.test",
  ];
  for (const spelling of spellings) {
    const answer = await client.step({ connect: `${spelling}:${api.port}` });
    // A tunnel may open before the address is looked up; then the request in it is refused.
    if (answer.status === 200) {
      await client.step({ tls: true });
      const inside = await client.step({ send: get(`${spelling}:${api.port}`) });
      expect(inside.closed ? 403 : inside.status, spelling).toBe(403);
    } else expect([400, 403], spelling).toContain(answer.status);
  }
  expect(api.connections).toBe(0);
});

test("the daemon's own proxy port cannot be reached through the gate, even where a rule states it", async () => {
  const health = (await world.request("GET", "/v1/health")).body as { readonly proxy_port: number };
  const own = `127.0.0.1:${health.proxy_port}`;
  const policy = await world.allowServices(own);
  await using client = await startRawClient(world, { policy });
  await client.step({ open: true });
  const answer = await client.step({
    send: `GET http://${own}/ HTTP/1.1\r\nHost: ${own}\r\nProxy-Authorization: Bearer {token}\r\n\r\n`,
  });
  expect(refusalCode(answer)).toBe("gate.address_forbidden");
});

test("a revoked credential is not attached to the next request of an open tunnel", async () => {
  await using granted = await openGrantedApi(world);
  const { api, grant, policy, host, value } = granted;
  await using client = await startRawClient(world, { grants: [grant], policy });
  await client.step({ connect: host });
  await client.step({ tls: true, sni: "api.example.test" });
  expect((await client.step({ send: get(host, "/before") })).status).toBe(200);
  const revoked = await world.cli(["revoke", grant]);
  expect(revoked.code, revoked.stderr).toBe(0);
  const after = await client.step({ send: get(host, "/after") });
  expect(after.closed ? 403 : after.status).toBeOneOf([401, 403]);
  expect(after.body ?? "").not.toContain(value);
  const carried = api.requests.filter(({ headers }) => headers.authorization === `Bearer ${value}`);
  expect(carried.map(({ url }) => url)).toEqual(["/before"]);
  const again = await world.run(["true"], { grants: [grant], policy });
  expect(again.code).toBe(125);
});

test("a placeholder outside its grant's slot is refused wherever it stands, and goes nowhere", async () => {
  await using api = await openFakeApi({ authority: world.authority });
  const host = `api.example.test:${api.port}`;
  const stored = await world.cli(["grant", "github"], { stdin: plantValue("ghp_") });
  expect(stored.code, stored.stderr).toBe(0);
  const policy = await world.allowServices(host);
  await using client = await startRawClient(world, { grants: ["github"], policy });
  const { value: placeholder } = await client.step({ env: "GITHUB_TOKEN" });
  expect(placeholder).toMatch(/^ghp_.{36}$/);
  const places = [
    get(host, `/${placeholder}`),
    get(host, `/?q=${placeholder}`),
    get(host, "/", [`X-Note: ${placeholder}`]),
    get(host, "/", [`Authorization: Bearer ${placeholder}`]),
    get(host, "/", [`Authorization: Basic ${btoa(`x:${placeholder}`)}`]),
  ];
  for (const request of places) {
    await client.step({ connect: host });
    await client.step({ tls: true, sni: "api.example.test" });
    const answer = await client.step({ send: request });
    expect(refusalCode(answer), request).toBe("gate.placeholder_misplaced");
  }
  expect(api.requests).toEqual([]);
  await world.record({ host: "api.example.test", code: "gate.placeholder_misplaced", decision: "denied" });
});

test("another run's token is refused at this run's listener, and so is none", async () => {
  await using granted = await openGrantedApi(world);
  const { api, grant, policy, host } = granted;
  await using holder = await startRawClient(world, { grants: [grant], policy });
  await using thief = await startRawClient(world, { policy });
  const { token = "" } = await holder.step({ token: true });
  expect(token).toMatch(/^[0-9a-f]{64}$/);
  const stolen = await thief.step({ connect: host, token });
  expect(stolen.status).toBe(403);
  expect(refusalCode(stolen)).toBe("gate.run_elsewhere");

  for (const wrong of ["", "ab".repeat(32), "nonsense"]) {
    const answer = await thief.step({ connect: host, token: wrong });
    expect(answer.status).toBe(407);
    expect(answer.head).toMatch(/proxy-authenticate: basic realm="gatehouse"/i);
  }
  expect(api.requests).toEqual([]);
});

test("a run's token is refused at the shared listener on the host", async () => {
  await using granted = await openGrantedApi(world);
  await using client = await startRawClient(world, { grants: [granted.grant], policy: granted.policy });
  const { token = "" } = await client.step({ token: true });
  const health = (await world.request("GET", "/v1/health")).body as { readonly proxy_port: number };
  const answer = await fetchThroughHost(health.proxy_port, token, granted.host);
  expect(answer).toMatch(/^HTTP\/1\.1 403 /);
  expect(answer).toContain("gate.run_elsewhere");
  expect(granted.api.requests).toEqual([]);
});

test("cleartext requests carry no credential", async () => {
  const value = "gh-planted-cleartext-0123456789abcdef";
  await using api = await openFakeApi();
  const host = `api.example.test:${api.port}`;
  await world.addCredential("cleartext", { host, value });
  const policy = await world.allowServices(host);
  const { stdout } = await world.run(["curl", "-sS", "-w", " %{http_code}", `http://${host}/`], {
    grants: ["cleartext"],
    policy,
  });
  expect(stdout).toContain(" 200");
  expect(JSON.stringify(api.requests)).not.toContain(value);
});

test("a service whose certificate cannot be verified gets no request", async () => {
  const { createTestAuthority } = await import("@gatehouse/testbed");
  await using api = await openFakeApi({ authority: await createTestAuthority() });
  const host = `api.example.test:${api.port}`;
  const policy = await world.allowServices(host);
  const { stdout } = await world.run(["curl", "-sS", `https://${host}/`], { policy });
  expect(stdout).toContain("gate.upstream_untrusted");
  expect(api.requests).toEqual([]);
});

async function fetchThroughHost(port: number, token: string, host: string): Promise<string> {
  const { connect } = await import("node:net");
  return new Promise((resolve, reject) => {
    const socket = connect(port, "127.0.0.1");
    let text = "";
    socket.setEncoding("latin1").on("data", (part: string) => {
      text += part;
      if (text.includes("\r\n\r\n") && text.includes("}")) socket.destroy();
    });
    socket.once("error", reject);
    socket.once("close", () => resolve(text));
    socket.write(`CONNECT ${host} HTTP/1.1\r\nHost: ${host}\r\nProxy-Authorization: Bearer ${token}\r\n\r\n`);
  });
}
