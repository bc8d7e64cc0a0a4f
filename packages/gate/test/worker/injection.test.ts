import { expect, test } from "vitest";
import type { RunSnapshot } from "../../src/snapshot/run-snapshot.ts";
import type { Message } from "./byte-stream.ts";
import { allowing, injection, openGate, outside } from "./gate-under-test.ts";
import { ok, openRawOrigin } from "./raw-origin.ts";

/** One service, and a run whose snapshot a test states with the service's port in hand. */
async function openService(run: (host: string) => Partial<RunSnapshot>) {
  const origin = await openRawOrigin(outside, () => ok("hello"));
  const gate = await openGate();
  const host = `api.test:${origin.port}`;
  await gate.put({ policy: allowing(host), ...run(host) });
  const ask = async (start: string, fields: readonly string[] = []): Promise<Message> => {
    const client = await gate.tunnel(host);
    const answer = await client.ask([`${start} HTTP/1.1`, `Host: ${host}`, ...fields]);
    client.stream.socket.destroy();
    return answer;
  };
  return {
    origin,
    gate,
    host,
    ask,
    sent: (name: string) => origin.requests.map((request) => request.header(name)),
    [Symbol.asyncDispose]: async () => {
      await gate[Symbol.asyncDispose]();
      await origin[Symbol.asyncDispose]();
    },
  };
}

test("the closest pattern wins: host and port, then host, then the longest wildcard", async () => {
  await using origin = await openRawOrigin(outside, () => ok("hello"));
  await using gate = await openGate();
  const host = `sub.api.test:${origin.port}`;
  const candidates = ["*.test", "*.api.test", "sub.api.test", host];
  const seen: (string | undefined)[] = [];
  for (let count = 1; count <= candidates.length; count += 1) {
    const injections = candidates.slice(0, count).map((pattern) => injection(pattern, `for ${pattern}`));
    await gate.put({ policy: allowing(host), injections });
    const client = await gate.tunnel(host);
    await client.ask(["GET / HTTP/1.1", `Host: ${host}`]);
    seen.push(origin.requests.at(-1)?.header("authorization"));
  }
  expect(seen).toEqual(candidates.map((pattern) => `for ${pattern}`));
});

test("what is answered with the request itself gets no credential, in whatever case its method is written", async () => {
  await using service = await openService((host) => ({
    injections: [injection(host, "Bearer real")],
    slots: [{ ...injection(host, "real"), header: "x-key", placeholder: "gh-placeholder-0123456789" }],
  }));
  for (const method of ["TRACE", "trace", "Trace", "TRACK"]) {
    await service.ask(`${method} /`, ["Authorization: Bearer mine", "X-Key: gh-placeholder-0123456789"]);
  }
  expect(service.origin.requests.map(({ start }) => start)).toHaveLength(4);
  expect(JSON.stringify(service.origin.requests)).not.toContain("real");
  // The control: any other method gets both.
  await service.ask("GET /", ["X-Key: gh-placeholder-0123456789"]);
  expect([service.sent("authorization").at(-1), service.sent("x-key").at(-1)]).toEqual(["Bearer real", "real"]);
});

test("methods and paths of a grant bound where its credential goes", async () => {
  await using service = await openService((host) => ({
    injections: [injection(host, "Bearer real", { methods: ["GET"], paths: ["/v1/**"] })],
  }));
  await service.ask("GET /v1/a");
  await service.ask("GET /v1/../v2/a");
  await service.ask("GET /v2/a");
  await service.ask("DELETE /v1/a");
  await service.ask("GET /v1/%2e%2e/v2");
  expect(service.sent("authorization")).toEqual(["Bearer real", undefined, undefined, undefined, undefined]);
  expect(service.origin.requests.map(({ start }) => start.split(" ")[1])).toEqual([
    "/v1/a",
    "/v2/a",
    "/v2/a",
    "/v1/a",
    "/v2",
  ]);
});

test("of one credential's headers those that the client fills get it, else the first alone", async () => {
  await using service = await openService((host) => ({
    injections: [
      injection(host, "real", { credential: "api", header: "x-api-key" }),
      injection(host, "Bearer real", { credential: "api" }),
      injection(host, "other", { grant: "other", credential: "other", header: "x-other" }),
    ],
    placeholders: [{ grant: "api", text: "gh-placeholder-api" }],
  }));
  await service.ask("GET /none");
  await service.ask("GET /bearer", ["Authorization: Bearer gh-placeholder-api"]);
  await service.ask("GET /key", ["X-Api-Key: gh-placeholder-api"]);
  await service.ask("GET /both", ["X-Api-Key: gh-placeholder-api", "Authorization: Bearer gh-placeholder-api"]);
  expect(service.sent("x-api-key")).toEqual(["real", undefined, "real", "real"]);
  expect(service.sent("authorization")).toEqual([undefined, "Bearer real", undefined, "Bearer real"]);
  expect(service.sent("x-other")).toEqual(["other", "other", "other", "other"]);
});

test("two grants fill two headers, and each replaces what the client sent there in any spelling", async () => {
  await using service = await openService((host) => ({
    injections: [injection(host, "Bearer real"), injection(host, "key", { grant: "key", header: "x-service-key" })],
  }));
  await service.ask("GET /", ["AUTHORIZATION: mine", "X-Service-Key: mine", "x_service_key: mine"]);
  expect(JSON.stringify(service.origin.requests)).not.toContain("mine");
  expect(service.sent("authorization")).toEqual(["Bearer real"]);
  expect(service.sent("x-service-key")).toEqual(["key"]);
});

test("cleartext requests get no credential unless the grant says so", async () => {
  await using origin = await openRawOrigin(undefined, () => ok("hello"));
  await using gate = await openGate();
  const host = `api.test:${origin.port}`;
  const seen: (string | undefined)[] = [];
  for (const allowCleartext of [false, true]) {
    const token = await gate.put({ policy: allowing(host), injections: [injection(host, "real", { allowCleartext })] });
    const front = await gate.dial();
    await front.ask([`GET http://${host}/ HTTP/1.1`, `Host: ${host}`, `Proxy-Authorization: Bearer ${token}`]);
    const inside = await gate.tunnel(host, { cleartext: true });
    await inside.ask(["GET / HTTP/1.1", `Host: ${host}`]);
    seen.push(...origin.requests.slice(-2).map((request) => request.header("authorization")));
  }
  expect(seen).toEqual([undefined, undefined, "real", "real"]);
});

const OWN_AUTH = [
  "Authorization: Basic mine",
  "Cookie: session=mine",
  "X-Api-Key: mine",
  "api-key: mine",
  "x-goog-api-key: mine",
  "PRIVATE-TOKEN: mine",
  "X-Auth-Token: mine",
  "X-Amz-Security-Token: mine",
  "X-Sentry-Auth: Sentry sentry_key=mine",
  "X_API_KEY: mine",
  "xi-api-key: mine",
  "X-Shopify-Storefront-Access-Token: mine",
  "Ocp-Apim-Subscription-Key: mine",
  "X-Parse-Authorization: mine",
];
const OWN_QUERY =
  "/?access_token=mine&API_KEY=mine&key=mine&sig=mine&X-Amz-Signature=mine&%6bey=mine&sentry_key=mine&q=kept;api_key=mine" +
  "&oauth_token=mine&authorization=Bearer%20mine&access.token=mine&access%20token=mine&%24httpHeaders=Authorization:mine";

test("strict removes the sandbox's own authentication everywhere, permissive where a grant applies", async () => {
  const strict = await openService(() => ({}));
  await strict.ask(`GET ${OWN_QUERY}`, OWN_AUTH);
  expect(JSON.stringify(strict.origin.requests)).not.toContain("mine");
  expect(strict.origin.requests[0]?.start).toContain("q=kept");
  const rules = { rules: [{ action: "allow" as const, hosts: [strict.host], cidr: ["127.0.0.0/8"] }] };
  await strict.gate.put({ policy: { mode: "permissive", ...rules } });
  await strict.ask(`GET ${OWN_QUERY}`, OWN_AUTH);
  expect(strict.origin.requests[1]?.header("x-api-key")).toBe("mine");
  expect(strict.origin.requests[1]?.start).toContain("access_token=mine");
  await strict.gate.put({
    policy: { mode: "permissive", ...rules },
    injections: [injection(strict.host, "real", { header: "x-service-key" })],
  });
  await strict.ask(`GET ${OWN_QUERY}`, OWN_AUTH);
  expect(JSON.stringify(strict.origin.requests[2])).not.toContain("mine");
  await strict[Symbol.asyncDispose]();
});

test("a rule may let the sandbox's own authentication go along, and only where it decides", async () => {
  await using service = await openService((host) => ({
    policy: {
      mode: "strict",
      rules: [
        { action: "allow", hosts: [host], paths: ["/own/**"], cidr: ["127.0.0.0/8"], client_auth: "allow" },
        { action: "allow", hosts: [host], cidr: ["127.0.0.0/8"] },
      ],
    },
    injections: [injection(host, "real", { header: "x-api-key" })],
  }));
  await service.ask("GET /own/a?access_token=mine", OWN_AUTH);
  await service.ask("GET /a?access_token=mine", OWN_AUTH);
  expect(service.origin.requests.map(({ start }) => start)).toEqual([
    "GET /own/a?access_token=mine HTTP/1.1",
    "GET /a HTTP/1.1",
  ]);
  expect(service.sent("authorization")).toEqual(["Basic mine", undefined]);
  // What a grant owns stays the grant's.
  expect(service.sent("x-api-key")).toEqual(["real", "real"]);
});

test("override, forwarding, proxy and hop-by-hop fields never pass", async () => {
  await using service = await openService(() => ({}));
  await service.ask("GET /?_method=DELETE&a=1&.method=DELETE&$httpMethod=DELETE&%24HttpHeaders=X:DELETE", [
    "X-HTTP-Method-Override: DELETE",
    "X-HTTP-Method: DELETE",
    "X-Method-Override: DELETE",
    "X_HTTP_Method_Override: DELETE",
    "X-Original-URL: /x",
    "X-Rewrite-URL: /x",
    "Forwarded: for=1",
    "X-Forwarded-For: 1",
    "X-Forwarded-Host: x",
    "Proxy-Connection: keep-alive",
    "Proxy-Foo: x",
    "Connection: keep-alive, X-Named",
    "X-Named: x",
    "TE: trailers",
    "Keep-Alive: timeout=5",
    "X-Kept: kept",
  ]);
  const [request] = service.origin.requests;
  expect(request?.start).toBe("GET /?a=1 HTTP/1.1");
  expect(request?.fields.map(([name]) => name)).toEqual(["host", "x-kept"]);
});

test("an upgrade to another framing of HTTP is taken for an ordinary request", async () => {
  await using service = await openService(() => ({}));
  for (const protocol of ["h2c", "HTTP/2.0", "TLS/1.2", "websocket, h2c"]) {
    const fields = ["Connection: Upgrade, HTTP2-Settings", `Upgrade: ${protocol}`, "HTTP2-Settings: AAMAAABkAAQAAP"];
    expect((await service.ask("GET /", fields)).status, protocol).toBe(200);
  }
  expect(service.origin.requests.flatMap(({ fields }) => fields.map(([name]) => name))).toEqual(Array(4).fill("host"));
});

test("registered headers are removed, then added, and a grant's own stays", async () => {
  await using service = await openService((host) => ({
    injections: [injection(host, "Bearer real")],
    extraHeaders: [
      { host: "api.test", name: "X-Extra", value: "by host" },
      { host, name: "X-Extra", value: "by port" },
      { host, name: "Content-Length", value: "5" },
      { host: "other.test", name: "X-Other", value: "x" },
    ],
    removeHeaders: [
      { host, name: "X-Gone" },
      { host, name: "x_too" },
      { host, name: "authorization" },
    ],
  }));
  await service.ask("GET /", ["X-Gone: x", "x_gone: x", "X-Too: x", "X-Kept: x"]);
  expect(service.origin.requests[0]?.fields).toEqual([
    ["host", service.host],
    ["x-kept", "x"],
    ["x-extra", "by port"],
    ["authorization", "Bearer real"],
    ["accept-encoding", "identity"],
  ]);
});

test("of registered headers those that authenticate go into no cleartext, nor where the request is the answer", async () => {
  await using origin = await openRawOrigin(undefined, () => ok("hello"));
  await using gate = await openGate();
  const host = `api.test:${origin.port}`;
  const extraHeaders = [
    { host, name: "X-Version", value: "1" },
    { host, name: "X-Api-Key", value: "real" },
  ];
  const token = await gate.put({ policy: allowing(host), extraHeaders });
  const front = await gate.dial();
  await front.ask([`GET http://${host}/ HTTP/1.1`, `Host: ${host}`, `Proxy-Authorization: Bearer ${token}`]);
  expect(origin.requests[0]?.fields).toEqual([
    ["host", host],
    ["x-version", "1"],
  ]);
  await using service = await openService((place) => ({
    extraHeaders: extraHeaders.map((one) => ({ ...one, host: place })),
  }));
  await service.ask("TRACE /");
  await service.ask("GET /");
  expect(service.sent("x-version")).toEqual(["1", "1"]);
  expect(service.sent("x-api-key")).toEqual([undefined, "real"]);
});

const PLACEHOLDER = "gh-placeholder-0123456789abcdef";

test("a placeholder in the header that its grant owns is replaced", async () => {
  await using service = await openService((host) => ({
    injections: [injection(host, "Basic cmVhbA==")],
    placeholders: [{ grant: "api", text: PLACEHOLDER }],
  }));
  for (const value of [PLACEHOLDER, `Bearer ${PLACEHOLDER}`, `Basic ${btoa(`user:${PLACEHOLDER}`)}`]) {
    expect((await service.ask("GET /", [`Authorization: ${value}`])).status).toBe(200);
  }
  expect(service.sent("authorization")).toEqual(Array(3).fill("Basic cmVhbA=="));
});

test("a placeholder anywhere else is refused, and the service sees nothing", async () => {
  await using service = await openService((host) => ({
    policy: allowing(host, `other.test:${host.split(":")[1]}`),
    injections: [injection(host, "Bearer real", { methods: ["GET"] })],
    placeholders: [{ grant: "api", text: PLACEHOLDER }],
  }));
  const escaped = `%67${PLACEHOLDER.slice(1)}`;
  const attempts: readonly (readonly [string, readonly string[]])[] = [
    [`GET /${PLACEHOLDER}`, []],
    [`GET /?q=${PLACEHOLDER}`, []],
    [`GET /?q=${escaped}`, []],
    [`GET /${escaped}/x`, []],
    ["GET /", [`X-Note: ${PLACEHOLDER}`]],
    ["GET /", [`X-Note: Basic ${btoa(`a:${PLACEHOLDER}`)}`]],
    ["GET /", [`Cookie: a=${PLACEHOLDER}`]],
    ["POST /", [`Authorization: Bearer ${PLACEHOLDER}`, "Content-Length: 0"]],
  ];
  for (const [start, fields] of attempts) {
    const answer = await service.ask(start, fields);
    expect(answer.status, `${start} ${fields}`).toBe(403);
    expect(JSON.parse(answer.body)).toMatchObject({ code: "gate.placeholder_misplaced", retry: false });
  }
  const other = `other.test:${service.origin.port}`;
  const client = await service.gate.tunnel(other);
  const elsewhere = await client.ask(["GET / HTTP/1.1", `Host: ${other}`, `Authorization: Bearer ${PLACEHOLDER}`]);
  expect(elsewhere.header("x-gatehouse-denied")).toBe("gate.placeholder_misplaced");
  expect(service.origin.connections).toBe(0);
});

test("where a grant applies the answer is asked for whole, and in codings that can be read", async () => {
  await using service = await openService((host) => ({ injections: [injection(host, "Bearer real")] }));
  const fields = ["Accept-Encoding: gzip, deflate", "Range: bytes=0-1", "If-Range: x", "Sec-WebSocket-Extensions: x"];
  await service.ask("GET /", fields);
  expect(service.origin.requests[0]?.fields.map(([name]) => name)).toEqual([
    "host",
    "authorization",
    "accept-encoding",
  ]);
  await service.gate.put({ policy: allowing(service.host) });
  await service.ask("GET /", fields);
  expect(service.sent("range")[1]).toBe("bytes=0-1");
  expect(service.sent("accept-encoding")).toEqual(["gzip", "gzip, deflate"]);
});

test("a request's trailers stand under the rules of its header fields", async () => {
  await using service = await openService((host) => ({
    injections: [injection(host, "real", { header: "x-service-key" })],
    placeholders: [{ grant: "api", text: PLACEHOLDER }],
  }));
  const client = await service.gate.tunnel(service.host);
  const trailers = ["X-Checksum: 1", "X-Service-Key: mine", `X-Note: ${PLACEHOLDER}`, "X-Real-IP: 1.1.1.1"];
  const answer = await client.ask(
    ["POST / HTTP/1.1", `Host: ${service.host}`, "Transfer-Encoding: chunked"],
    `2\r\nab\r\n0\r\n${trailers.join("\r\n")}\r\n\r\n`,
  );
  expect(answer.status).toBe(200);
  expect(service.origin.requests[0]).toMatchObject({ body: "ab", trailers: "X-Checksum: 1\r\n" });
});

test("policy is asked about the path as it is sent", async () => {
  await using service = await openService((host) => ({
    policy: {
      mode: "strict",
      rules: [
        { action: "deny", hosts: [host], paths: ["/private/**"], reason: "Private things stay." },
        { action: "allow", hosts: [host], methods: ["GET"], cidr: ["127.0.0.0/8"] },
      ],
    },
  }));
  for (const path of ["/private/x", "/a/../private/x", "//private/x", "/%70rivate/x", "/private;a/x", "/%2fprivate"]) {
    const answer = await service.ask(`GET ${path}`);
    expect(answer.status, path).toBe(403);
    expect(JSON.parse(answer.body)).toMatchObject({ code: "gate.policy_denied", rule: "rules[0]" });
  }
  expect((await service.ask("POST /public", ["Content-Length: 0"])).status).toBe(403);
  expect(service.origin.connections).toBe(0);
  expect((await service.ask("GET /public/./x?y")).status).toBe(200);
  expect(service.origin.requests[0]?.start).toBe("GET /public/x?y HTTP/1.1");
});
