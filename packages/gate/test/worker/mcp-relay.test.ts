import { eventually } from "@gatehouse/testbed";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { McpServer } from "../../src/snapshot/mcp-server.ts";
import type { RunSnapshot } from "../../src/snapshot/run-snapshot.ts";
import type { ByteStream } from "./byte-stream.ts";
import { type GateUnderTest, injection, openGate, outside } from "./gate-under-test.ts";
import { ok, openRawOrigin, type RawOrigin } from "./raw-origin.ts";

const REAL = "real-0123456789abcdef";
const EVENTS = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n";

let gate: GateUnderTest;
let origin: RawOrigin;
let host: string;
let token: string;
let run: Partial<RunSnapshot>;
const eventStreams: ByteStream[] = [];

beforeAll(async () => {
  origin = await openRawOrigin(outside, ({ start }, stream) => {
    if (!start.startsWith("GET /api/mcp/events")) return ok(`you sent ${REAL}`);
    eventStreams.push(stream);
    return EVENTS;
  });
  gate = await openGate();
  host = `api.test:${origin.port}`;
});
afterAll(async () => {
  await gate[Symbol.asyncDispose]();
  await origin[Symbol.asyncDispose]();
});
beforeEach(async () => {
  const auth = { grant: "api", header: "authorization" };
  const server = (name: string, more: Partial<McpServer> = {}): McpServer => {
    return { name, url: `https://${host}/api/mcp`, auth, ...more };
  };
  run = {
    policy: {
      mode: "strict",
      rules: [
        { action: "deny", hosts: [host], paths: ["/api/mcp/admin/**"] },
        { action: "allow", hosts: [host], cidr: ["127.0.0.0/8"] },
      ],
    },
    injections: [injection(host, `Bearer ${REAL}`)],
    scrub: [{ value: REAL, overwrite: "gh-placeholder-000000" }],
    mcpServers: [
      server("docs"),
      server("open", { auth: undefined }),
      server("lacking", { auth: { grant: "revoked", header: "authorization" } }),
      server("elsewhere", { url: "https://other.test/mcp" }),
    ],
  };
  await gate.drop("run-1");
  token = await gate.put(run);
});

/** Asks at the proxy port as a client does that knows of no proxy. */
async function ask(start: string, fields: readonly string[] = [], body: string = "") {
  const client = await gate.dial();
  const length = body === "" ? [] : [`Content-Length: ${body.length}`];
  const answer = await client.ask([`${start} HTTP/1.1`, `Host: 127.0.0.1:${gate.port}`, ...fields, ...length], body);
  client.stream.socket.destroy();
  return answer;
}

/** What the service saw while something was done. */
async function sentDuring(act: () => Promise<unknown>) {
  const before = origin.requests.length;
  await act();
  return origin.requests.slice(before);
}

const record = (select: (one: GateUnderTest["records"][number]) => boolean) =>
  eventually("the record", () => gate.records.find(select));

describe("a request to an MCP server by path", () => {
  test("goes to the server's URL with its grant, method and body, and is recorded as that request", async () => {
    const call = '{"jsonrpc":"2.0","id":1,"method":"tools/list"}';
    const fields = [
      "Content-Type: application/json",
      "Authorization: Bearer mine",
      `Referer: http://a/mcp/${token}/docs`,
    ];
    const [sent] = await sentDuring(async () => {
      const { status, body } = await ask(`POST /mcp/${token}/docs?session=1`, fields, call);
      expect([status, body]).toEqual([200, "you sent gh-placeholder-000000"]);
    });
    expect(sent?.start).toBe("POST /api/mcp?session=1 HTTP/1.1");
    expect(sent?.body).toBe(call);
    expect(["host", "authorization", "content-type", "referer"].map((name) => sent?.header(name))).toEqual([
      host,
      `Bearer ${REAL}`,
      "application/json",
      undefined,
    ]);
    expect(JSON.stringify(sent)).not.toContain(token);
    const recorded = await record(({ method }) => method === "POST");
    expect(recorded).toMatchObject({ run: "run-1", host: "api.test", status: 200, grants: ["api"], rule: "rules[1]" });
    expect(recorded.url).toBe(`https://${host}/api/mcp?session`);
    await eventually("the injection on record", () => gate.audit.some(({ kind }) => kind === "request.injected"));
    expect(JSON.stringify([gate.records, gate.audit])).not.toContain(token);
  });

  test("may name its run in Proxy-Authorization in place of the path", async () => {
    const [sent] = await sentDuring(async () => {
      const fields = [`Proxy-Authorization: Bearer ${token}`];
      expect((await ask("DELETE /mcp/docs/session", fields)).status).toBe(200);
      expect((await ask(`GET /mcp/${token}/docs`, fields)).status).toBe(200);
    });
    expect(sent?.start).toBe("DELETE /api/mcp/session HTTP/1.1");
    expect(sent?.header("proxy-authorization")).toBeUndefined();
  });

  test("stays below the server's own path, whatever it climbs", async () => {
    const paths = ["/a/b", "/../../../etc", "/./a//b/", "/a/%2e%2e/%2E%2e/b", "/"];
    const sent = await sentDuring(async () => {
      for (const path of paths) expect((await ask(`GET /mcp/${token}/docs${path}`)).status).toBe(200);
    });
    expect(sent.map(({ start }) => start.split(" ")[1])).toEqual([
      "/api/mcp/a/b",
      "/api/mcp/etc",
      "/api/mcp/a/b/",
      "/api/mcp/b",
      "/api/mcp/",
    ]);
  });

  test("streams events as they come, and ends when the server is taken back", async () => {
    const client = await gate.dial();
    client.send(`GET /mcp/${token}/docs/events HTTP/1.1\r\nHost: gate\r\nAccept: text/event-stream\r\n\r\n`);
    expect(await client.stream.readUntil("\r\n\r\n")).toContain("text/event-stream");
    const events = await eventually("the stream at the service", () => eventStreams.at(-1));
    for (const data of ["one", "two"]) {
      events.write(`data: ${data}\n\n`);
      expect(await client.stream.readUntil(`data: ${data}\n\n`)).toBeTruthy();
    }
    await gate.put({ ...run, mcpServers: [] });
    await eventually("the end of the stream", () => client.isClosed);
    const again = await ask(`GET /mcp/${token}/docs`);
    expect(again.status).toBe(404);
  });
});

describe("nothing reaches an MCP server", () => {
  test.each([
    ["of a name that the run does not have", "other", "", 404, "gate.mcp_server_unknown"],
    ["with two readings of its path", "docs", "/a%2f..%2f..%2fb", 400, "gate.ambiguous_request"],
    ["with parameters on a dot segment", "docs", "/..;/..;/b", 400, "gate.ambiguous_request"],
    ["that the run's rules deny by path", "docs", "/admin/keys", 403, "gate.policy_denied"],
    ["on a host that no rule opens", "elsewhere", "", 403, "gate.policy_denied"],
    ["whose credential the run lacks", "lacking", "", 500, "gate.credential_missing"],
  ])("%s", async (_, name, path, status, code) => {
    const sent = await sentDuring(async () => {
      const answer = await ask(`GET /mcp/${token}/${name}${path}`);
      expect([answer.status, answer.header("x-gatehouse-denied")]).toEqual([status, code]);
      expect(answer.body).not.toContain(token);
      if (status === 500) expect(answer.body).toContain("revoked");
    });
    expect(sent).toEqual([]);
    expect(await record((one) => one.code === code && one.status === status)).toMatchObject({ run: "run-1" });
    expect(JSON.stringify(gate.records)).not.toContain(token);
  });

  test("under another token than a run's, of which it is not said which servers there are", async () => {
    const wrong = "0".repeat(64);
    const sent = await sentDuring(async () => {
      const asked = [`/mcp/${wrong}/docs`, `/mcp/${wrong}/other`, "/mcp/docs", "/mcp/other", `/mcp/${token}`, "/mcp/"];
      const answers = [];
      for (const target of asked) answers.push(await ask(`GET ${target}`));
      answers.push(await ask(`GET /mcp/${token}/docs`, [`Proxy-Authorization: Bearer ${wrong}`]));
      answers.push(await ask(`GET /mcp/${token}/docs`, ["Proxy-Authorization: Digest a"]));
      expect(new Set(answers.map(({ status, body }) => `${status} ${body}`)).size).toBe(1);
      expect(answers[0]?.status).toBe(407);
    });
    expect(sent).toEqual([]);
  });

  test("from a run's own place that is another", async () => {
    await gate.put({ ...run, place: { kind: "sandbox", keeper: "0000000000000000" }, isExternal: false });
    const sent = await sentDuring(async () => {
      expect((await ask(`GET /mcp/${token}/docs`)).status).toBe(403);
    });
    expect(sent).toEqual([]);
  });

  test("of two runs goes with the other's credential", async () => {
    await gate.put({ ...run, injections: [injection(host, "Bearer others", { grant: "theirs" })] });
    const sent = await sentDuring(async () => {
      expect((await ask(`GET /mcp/${token}/docs`)).status).toBe(500);
      expect((await ask(`TRACE /mcp/${token}/docs`)).status).toBe(500);
    });
    expect(sent).toEqual([]);
  });
});
