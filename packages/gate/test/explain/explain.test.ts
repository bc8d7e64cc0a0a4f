import type { NetworkPolicyInput, PolicyRule } from "@gatehouse/core";
import { type FakeApi, openFakeApi, type ReceivedRequest } from "@gatehouse/testbed";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Explanation, explainRequest } from "../../src/explain/explain-request.ts";
import { CompiledRun } from "../../src/worker/compile-run.ts";
import { type GateUnderTest, injection, openGate, outside, snapshot } from "../worker/gate-under-test.ts";

const HOSTS = { "api.test": "127.0.0.1", "other.test": "127.0.0.1", "sub.api.test": "127.0.0.1" };

let gate: GateUnderTest;
let clear: FakeApi;
let secure: FakeApi;

beforeAll(async () => {
  gate = await openGate({ config: { hosts: HOSTS } });
  clear = await openFakeApi();
  secure = await openFakeApi({ authority: outside });
});
afterAll(async () => {
  for (const one of [gate, clear, secure]) await one[Symbol.asyncDispose]();
});

/** Few of each, so that rules and requests meet. */
const path = fc.constantFrom("/", "/a", "/a/b", "/a/../b", "/a//b/", "/a%2fb", "/%61", "/a;x=1", "/a/b/c?key=1&q=2");
const pattern = fc.constantFrom("/a", "/a/*", "/a/**", "/b", "/**", "**");
const method = fc.constantFrom("GET", "POST", "DELETE");
/** Rules compare without case; a real server wants upper case. */
const ruleMethod = fc.constantFrom("GET", "post", "DELETE", "*");
const name = fc.constantFrom("api.test", "other.test", "sub.api.test");

function rule(ports: readonly number[]): fc.Arbitrary<PolicyRule> {
  return fc
    .record({
      action: fc.constantFrom("allow" as const, "deny" as const),
      host: fc.constantFrom("api.test", "other.test", "*.api.test", "*"),
      isStated: fc.boolean(),
      methods: fc.option(fc.uniqueArray(ruleMethod, { minLength: 1, maxLength: 2 }), { nil: undefined }),
      paths: fc.option(fc.uniqueArray(pattern, { minLength: 1, maxLength: 2 }), { nil: undefined }),
    })
    .map(({ action, host, isStated, methods, paths }) => ({
      action,
      hosts: [host],
      ports,
      ...(action === "allow" && isStated && host !== "*" ? { cidr: ["127.0.0.0/8"] } : {}),
      ...(methods === undefined ? {} : { methods }),
      ...(paths === undefined ? {} : { paths }),
    }));
}

interface Answer {
  readonly status: number;
  readonly code: string | undefined;
  readonly rule: string | undefined;
  readonly reason: string | undefined;
}

/** The real worker's word: what it answered, and what it recorded. */
async function ask(
  token: string,
  request: { method: string; host: string; port: number; path: string; isTls: boolean },
) {
  const client = await gate.dial();
  const authority = `${request.host}:${request.port}`;
  const read = async (answer: { status: number; body: string; header(name: string): string | undefined }) => {
    const code = answer.header("x-gatehouse-denied");
    const body = code === undefined ? undefined : (JSON.parse(answer.body) as { rule?: string; detail?: string });
    return { status: answer.status, code, rule: body?.rule, reason: body?.detail } satisfies Answer;
  };
  try {
    if (request.isTls) {
      const opened = await client.connect(authority, token);
      if (opened.status !== 200) return await read(opened);
      await client.startTls(request.host);
      return await read(await client.ask([`${request.method} ${request.path} HTTP/1.1`, `Host: ${authority}`]));
    }
    const target = `http://${authority}${request.path}`;
    const auth = `Proxy-Authorization: Bearer ${token}`;
    return await read(await client.ask([`${request.method} ${target} HTTP/1.1`, `Host: ${authority}`, auth]));
  } finally {
    client.stream.socket.destroy();
  }
}

interface Asked {
  readonly mode: "strict" | "permissive";
  readonly rules: readonly PolicyRule[];
  readonly guards: boolean;
  readonly method: string;
  readonly host: string;
  readonly path: string;
  readonly isTls: boolean;
  readonly grantMethods: readonly string[] | undefined;
  readonly grantPaths: readonly string[] | undefined;
}

/** The explanation, and what the worker did with the same request of the same run. */
async function askBoth(asked: Asked) {
  const { mode, rules, host, isTls } = asked;
  const api = isTls ? secure : clear;
  const guards = asked.guards ? [{ action: "deny" as const, hosts: [`api.test:${api.port}`], paths: ["/a/b"] }] : [];
  const policy: NetworkPolicyInput = { mode, rules, guards };
  const injections = [
    injection("api.test", "Bearer planted-value", { methods: asked.grantMethods, paths: asked.grantPaths }),
    injection("*.api.test", "planted-value", { header: "x-key", grant: "other" }),
  ];
  const token = await gate.put({ policy, injections });
  const seen = api.requests.length;
  const url = `${isTls ? "https" : "http"}://${host}:${api.port}${asked.path}`;
  const run = new CompiledRun(snapshot({ policy, injections }));
  const explained = await explainRequest(run, { method: asked.method, url }, { hosts: HOSTS, ownAddresses: new Set() });
  return { explained, answer: await ask(token, { ...asked, port: api.port }), received: api.requests[seen] };
}

function expectSent({ request, injects }: Explanation, received: ReceivedRequest | undefined): void {
  expect(received?.url.split("?")[0]).toBe(request.path);
  expect([...new URL(received?.url ?? "", "http://x").searchParams.keys()]).toEqual(request.query);
  const sent = ["authorization", "x-key"].filter((header) => received?.headers[header] !== undefined);
  expect(injects.map(({ header }) => header).sort()).toEqual(sent);
}

describe("an explanation", () => {
  test("is what the worker does, over rules and requests of every kind", { timeout: 120_000 }, async () => {
    const run = fc.record({
      mode: fc.constantFrom("strict" as const, "permissive" as const),
      rules: fc.array(rule([clear.port, secure.port]), { maxLength: 4 }),
      guards: fc.boolean(),
      method,
      host: name,
      path,
      isTls: fc.boolean(),
      grantMethods: fc.option(fc.constantFrom(["GET"], ["POST", "DELETE"]), { nil: undefined }),
      grantPaths: fc.option(fc.constantFrom(["/a/**"], ["/b"]), { nil: undefined }),
    });
    const property = fc.asyncProperty(run, async (asked) => {
      const { explained, answer, received } = await askBoth(asked);
      expect(answer).toMatchObject({ code: explained.code });
      if (explained.action === "allow") return expectSent(explained, received);
      expect(received).toBeUndefined();
      expect(answer.reason).toBe(explained.reason);
      // An address is refused without a word of rules.
      if (explained.code === "gate.policy_denied") expect(answer.rule).toBe(explained.rule);
    });
    await fc.assert(property, { numRuns: 250 });
    expect(gate.faults).toEqual([]);
  });

  test("names rule, grant and header, never the value", async () => {
    const injections = [injection("api.test", "Bearer planted-value")];
    const policy: NetworkPolicyInput = { mode: "strict", rules: [{ action: "allow", hosts: ["api.test"] }] };
    const run = new CompiledRun(snapshot({ policy, injections }));
    const deps = { hosts: {}, ownAddresses: new Set<string>() };
    const explained = await explainRequest(run, { method: "GET", url: "https://API.test/a/../b?token=x&q=1#f" }, deps);
    expect(explained).toMatchObject({
      action: "allow",
      rule: "rules[0]",
      request: { scheme: "https", host: "api.test", port: 443, path: "/b", query: ["q"] },
      injects: [{ header: "authorization", grant: "api" }],
      strips_client_auth: true,
    });
    expect(JSON.stringify(explained)).not.toContain("planted-value");
    expect(explained.destination.addresses).toBeUndefined();
  });

  test("names the grants that a request over http:// goes without", async () => {
    const injections = [
      injection("api.test", "Bearer planted-value"),
      injection("api.test", "clear", { header: "x-clear", grant: "clear", allowCleartext: true }),
    ];
    const policy: NetworkPolicyInput = { mode: "strict", rules: [{ action: "allow", hosts: ["api.test"] }] };
    const run = new CompiledRun(snapshot({ policy, injections }));
    const deps = { hosts: {}, ownAddresses: new Set<string>() };
    expect(await explainRequest(run, { method: "GET", url: "http://api.test/" }, deps)).toMatchObject({
      action: "allow",
      injects: [{ header: "x-clear", grant: "clear" }],
      withheld: [{ header: "authorization", grant: "api" }],
    });
    for (const url of ["https://api.test/", "http://other.test/"]) {
      expect(await explainRequest(run, { method: "GET", url }, deps)).not.toHaveProperty("withheld");
    }
  });

  test("asks a resolver only when there is one, and refuses what may not be dialed", async () => {
    const run = new CompiledRun(snapshot({ policy: { mode: "permissive" } }));
    const deps = { hosts: {}, ownAddresses: new Set<string>() };
    const asked = { method: "GET", url: "https://rebinding.test/" };
    expect(await explainRequest(run, asked, deps)).toMatchObject({ action: "allow" });
    const lookUp = async () => ["169.254.169.254"];
    expect(await explainRequest(run, asked, { ...deps, lookUp })).toMatchObject({
      action: "deny",
      code: "gate.address_forbidden",
      reason: expect.stringContaining("metadata"),
    });
    const own = { ...deps, ownAddresses: new Set(["127.0.0.1:9"]), hosts: { "self.test": "127.0.0.1" } };
    expect(await explainRequest(run, { method: "GET", url: "http://169.254.169.254/" }, own)).toMatchObject({
      action: "deny",
      code: "gate.address_forbidden",
      destination: { addresses: ["169.254.169.254"] },
    });
  });

  test.each([
    ["a text that is no URL", "GET", "ftp://api.test/"],
    ["a URL without a host", "GET", "https:///x"],
    ["user info", "GET", "https://user:word@api.test/"],
    ["a tunnel", "CONNECT", "https://api.test/"],
  ])("of %s is refused", async (_, verb, url) => {
    const run = new CompiledRun(snapshot({ policy: { mode: "permissive" } }));
    const deps = { hosts: {}, ownAddresses: new Set<string>() };
    await expect(explainRequest(run, { method: verb, url }, deps)).rejects.toMatchObject({ code: "api.malformed" });
  });

  test("says so when the gate would not even read the request", async () => {
    const run = new CompiledRun(snapshot({ policy: { mode: "permissive" } }));
    const deps = { hosts: {}, ownAddresses: new Set<string>() };
    for (const [verb, url] of [
      ["GE T", "https://api.test/"],
      ["GET", "https://api.test/a b"],
      ["GET", "https://api.test/a\r\nX: y"],
    ] as const) {
      expect(await explainRequest(run, { method: verb, url }, deps)).toMatchObject({
        action: "deny",
        code: "gate.ambiguous_request",
      });
    }
  });
});
