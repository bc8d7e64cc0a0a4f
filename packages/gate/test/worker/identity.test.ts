import { parseRunId } from "@gatehouse/core";
import { eventually } from "@gatehouse/testbed";
import { expect, test } from "vitest";
import { hashToken } from "../../src/worker/identify-run.ts";
import { allowing, openGate, outside } from "./gate-under-test.ts";
import { ok, openRawOrigin } from "./raw-origin.ts";

const UNKNOWN = "ab".repeat(32);

test("a missing, malformed or unknown token is challenged, and the same connection then serves", async () => {
  await using origin = await openRawOrigin(outside, () => ok("hello"));
  await using gate = await openGate();
  const host = `api.test:${origin.port}`;
  const token = await gate.put({ policy: allowing(host) });
  const client = await gate.dial();
  const attempts = [
    [],
    ["Proxy-Authorization: Basic"],
    ["Proxy-Authorization: Basic !!!!"],
    [`Proxy-Authorization: Basic ${btoa(`run:${UNKNOWN}`)}`],
    [`Proxy-Authorization: Basic ${btoa(token)}`.replace(/.$/, "A")],
    ["Proxy-Authorization: Bearer short"],
    [`Proxy-Authorization: Bearer ${UNKNOWN}`],
    [`Proxy-Authorization: Digest ${token}`],
    [`Proxy-Authorization: Bearer ${token}`, `Proxy-Authorization: Bearer ${token}`],
  ];
  for (const fields of attempts) {
    const answer = await client.ask([`CONNECT ${host} HTTP/1.1`, `Host: ${host}`, ...fields]);
    expect(answer.status, fields.join()).toBe(407);
    expect(answer.header("proxy-authenticate")).toBe('Basic realm="gatehouse"');
    expect(answer.header("x-gatehouse-denied")).toBe("gate.run_unknown");
    expect(answer.header("connection")).toBeUndefined();
    expect(JSON.parse(answer.body)).toMatchObject({ code: "gate.run_unknown", status: 407, retry: false });
    expect(origin.connections).toBe(0);
  }
  expect((await client.connect(host, token)).status).toBe(200);
  await client.startTls("api.test");
  expect(await client.ask(["GET / HTTP/1.1", `Host: ${host}`])).toMatchObject({ status: 200, body: "hello" });
});

test("a challenge closes the connection when the client asked for that, or a body is left unread", async () => {
  await using gate = await openGate();
  const closing = await gate.dial();
  const answer = await closing.ask(["CONNECT api.test:443 HTTP/1.1", "Host: api.test:443", "Connection: close"]);
  expect(answer.status).toBe(407);
  expect(answer.header("connection")).toBe("close");
  await eventually("the close", () => closing.isClosed);

  const old = await gate.dial();
  expect((await old.ask(["CONNECT api.test:443 HTTP/1.0"])).status).toBe(407);
  await eventually("the close", () => old.isClosed);

  const posting = await gate.dial();
  const unread = await posting.ask(["POST http://api.test/ HTTP/1.1", "Host: api.test", "Content-Length: 5"], "hello");
  expect(unread.status).toBe(407);
  expect(unread.header("connection")).toBe("close");
  await eventually("the close", () => posting.isClosed);
});

test("Basic with any user and Bearer both carry the token, and it never goes to the service", async () => {
  await using origin = await openRawOrigin(undefined, () => ok("hello"));
  await using gate = await openGate();
  const host = `api.test:${origin.port}`;
  const token = await gate.put({ policy: allowing(host) });
  for (const credentials of [`Basic ${btoa(`anyone:${token}`)}`, `basic ${btoa(`:${token}`)}`, `Bearer ${token}`]) {
    const client = await gate.dial();
    const answer = await client.ask([
      `GET http://${host}/ HTTP/1.1`,
      `Host: ${host}`,
      `Proxy-Authorization: ${credentials}`,
      "Proxy-Connection: keep-alive",
    ]);
    expect(answer.status, credentials).toBe(200);
  }
  expect(JSON.stringify(origin.requests)).not.toContain(token);
  expect(
    origin.requests.flatMap(({ fields }) => fields.map(([name]) => name)).filter((name) => /proxy/.test(name)),
  ).toEqual([]);
});

test("a run with a listener of its own is refused on the shared one", async () => {
  await using origin = await openRawOrigin(outside, () => ok("hello"));
  await using gate = await openGate();
  const host = `api.test:${origin.port}`;
  const token = await gate.put({ policy: allowing(host), place: { kind: "sandbox", keeper: "0011223344556677" } });
  const client = await gate.dial();
  const answer = await client.connect(host, token);
  expect(answer.status).toBe(403);
  expect(answer.header("x-gatehouse-denied")).toBe("gate.run_elsewhere");
  expect(origin.connections).toBe(0);
  await eventually("the record", () => gate.records.some(({ code }) => code === "gate.run_elsewhere"));
});

test("a replaced token is forgotten, and the run of a new one is served", async () => {
  await using gate = await openGate();
  const token = await gate.put({ policy: allowing("api.test:443") });
  await gate.put({ policy: allowing("api.test:443"), tokenHash: hashToken(UNKNOWN) });
  expect((await (await gate.dial()).connect("api.test:443", token)).status).toBe(407);
  expect((await (await gate.dial()).connect("api.test:443", UNKNOWN)).status).toBe(200);
});

test("a run that ends takes its token with it, whatever happens to other runs", async () => {
  await using gate = await openGate();
  const token = await gate.put({ policy: allowing("api.test:443") });
  await gate.put({ runId: parseRunId("run-2"), tokenHash: hashToken(UNKNOWN), policy: allowing("api.test:443") });
  await gate.drop("run-1");
  expect((await (await gate.dial()).connect("api.test:443", token)).status).toBe(407);
  expect((await (await gate.dial()).connect("api.test:443", UNKNOWN)).status).toBe(200);
});

test("an address for containers serves runs of outside tools alone, and only their own containers once these are named", async () => {
  await using origin = await openRawOrigin(outside, () => ok("hello"));
  const at = "127.0.0.3";
  await using gate = await openGate({ config: { listen: [{ host: at, port: undefined }] } });
  const host = `api.test:${origin.port}`;
  const policy = allowing(host);
  const ask = async (from: string, run: Parameters<typeof gate.put>[0]) => {
    const token = await gate.put({ policy, ...run });
    const client = await gate.dial({ host: at, localAddress: from });
    return (await client.connect(host, token)).status;
  };
  expect(await ask("127.0.0.9", {})).toBe(200);
  expect(await ask("127.0.0.9", { isExternal: false })).toBe(403);
  expect(await ask("127.0.0.9", { containerAddresses: [] })).toBe(403);
  expect(await ask("127.0.0.9", { containerAddresses: ["127.0.0.8"] })).toBe(403);
  expect(await ask("127.0.0.9", { containerAddresses: ["127.0.0.8", "127.0.0.9"] })).toBe(200);
  expect(await ask("127.0.0.9", { place: { kind: "sandbox", keeper: "00" }, isExternal: false })).toBe(403);
  expect(origin.connections).toBe(0);
});
