import { eventually } from "@gatehouse/testbed";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { RunSnapshot } from "../../src/snapshot/run-snapshot.ts";
import type { ByteStream } from "./byte-stream.ts";
import { allowing, type GateUnderTest, injection, openGate, outside, type ProxyClient } from "./gate-under-test.ts";
import { openRawOrigin, type RawOrigin } from "./raw-origin.ts";

let gate: GateUnderTest;
let origin: RawOrigin;
let host: string;
let granted: Partial<RunSnapshot>;

beforeAll(async () => {
  origin = await openRawOrigin(outside);
  gate = await openGate();
  host = `api.test:${origin.port}`;
  granted = {
    policy: allowing(host),
    injections: [injection(host, "Bearer real"), injection(host, "key", { grant: "second", header: "x-service-key" })],
  };
});
afterAll(async () => {
  await gate[Symbol.asyncDispose]();
  await origin[Symbol.asyncDispose]();
});
beforeEach(async () => {
  await gate.drop("run-1");
  await gate.put(granted);
});

/** The run as it was, without its first grant. */
const revoke = () => gate.put({ ...granted, injections: granted.injections?.slice(1) ?? [] });

const recordOf = (path: string) =>
  eventually(`the records of ${path}`, () => gate.records.filter(({ url }) => url.endsWith(path)).at(-1));

interface UnderWay {
  readonly client: ProxyClient;
  readonly service: ByteStream;
}

async function begin(path: string, fields: readonly string[] = []): Promise<UnderWay> {
  const client = await gate.tunnel(host);
  client.send([`GET ${path} HTTP/1.1`, `Host: ${host}`, ...fields, "", ""].join("\r\n"));
  const service = await origin.accept();
  expect(await service.readUntil("\r\n\r\n")).toContain("Bearer real");
  return { client, service };
}

async function beginWebSocket(path: string): Promise<UnderWay> {
  const { client, service } = await begin(path, ["Connection: Upgrade", "Upgrade: websocket"]);
  service.write("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
  expect((await client.receive({ hasBody: false })).status).toBe(101);
  return { client, service };
}

async function expectCut({ client, service }: UnderWay): Promise<void> {
  await eventually("the cut at the client", () => client.isClosed);
  await eventually("the cut at the service", () => service.isClosed);
}

describe("a grant that is taken back", () => {
  test("cuts an upgraded connection that carries it", async () => {
    const socket = await beginWebSocket("/ws-revoked");
    await revoke();
    await expectCut(socket);
    const record = await recordOf("/ws-revoked");
    expect(record).toMatchObject({
      status: 101,
      code: "gate.policy_denied",
      decision: "denied",
      grants: ["api", "second"],
    });
  });

  test("cuts an answer under way", async () => {
    const download = await begin("/download");
    download.service.write("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\npart");
    await download.client.stream.readUntil("part");
    await revoke();
    await expectCut(download);
    expect(await recordOf("/download")).toMatchObject({ status: 200, code: "gate.policy_denied" });
  });

  test("answers a request that waits for the service with a refusal, and lets the service go", async () => {
    const waiting = await begin("/waiting");
    await revoke();
    const answer = await waiting.client.receive();
    expect(answer.status).toBe(403);
    expect(JSON.parse(answer.body)).toMatchObject({
      code: "gate.policy_denied",
      detail: expect.stringContaining("api"),
    });
    await expectCut(waiting);
  });

  test("stops a request whose connection is still being opened: nothing arrives", async () => {
    await using silent = await openRawOrigin(undefined);
    const place = `api.test:${silent.port}`;
    const run = { policy: allowing(place), injections: [injection(place, "Bearer real")] };
    await gate.put(run);
    const client = await gate.tunnel(place);
    client.send(`GET /dialing HTTP/1.1\r\nHost: ${place}\r\n\r\n`);
    // The service speaks no TLS: the handshake waits.
    const service = await silent.accept();
    await gate.put({ ...run, injections: [] });
    expect((await client.receive()).header("x-gatehouse-denied")).toBe("gate.policy_denied");
    await eventually("the end at the service", () => service.isClosed);
    expect(service.unread.includes("Bearer")).toBe(false);
  });

  test("leaves alone what does not carry it", async () => {
    const other = { ...granted, injections: granted.injections?.slice(0, 1) ?? [] };
    const socket = await beginWebSocket("/ws-kept");
    await gate.put({ ...granted, injections: [...(granted.injections ?? []), injection("other.test", "x")] });
    await gate.put(granted);
    // The value is renewed under the same grant and header.
    const renewed = granted.injections?.map((one) => ({ ...one, value: `${one.value}-renewed` })) ?? [];
    await gate.put({ ...granted, injections: renewed });
    socket.service.write("still here");
    await socket.client.stream.readUntil("still here");
    await gate.put(other);
    await expectCut(socket);
  });
});

test("a policy that denies now cuts an upgraded connection that it allowed before", async () => {
  const socket = await beginWebSocket("/ws-denied");
  const narrowed = allowing(host);
  await gate.put({
    ...granted,
    policy: {
      ...narrowed,
      rules: [{ action: "deny", hosts: [host], paths: ["/ws-denied"] }, ...(narrowed.rules ?? [])],
    },
  });
  await expectCut(socket);
  expect(await recordOf("/ws-denied")).toMatchObject({ code: "gate.policy_denied" });
});

test("a run that ends has its upgraded connections cut", async () => {
  const socket = await beginWebSocket("/ws-ended");
  await gate.drop("run-1");
  await expectCut(socket);
});

test("a value that was taken back is scrubbed from answers of the hosts where it went, heads and bodies", async () => {
  const value = "sk-live-0123456789abcdef";
  const overwrite = "gh-placeholder-012345678";
  await gate.put({ policy: allowing(host), injections: [], scrub: [{ value, overwrite }], scrubHosts: [host] });
  const client = await gate.tunnel(host);
  client.send(`GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
  const service = await origin.accept();
  await service.readUntil("\r\n\r\n");
  service.write(`HTTP/1.1 200 OK\r\nX-Echo: ${value}\r\nContent-Length: ${value.length}\r\n\r\n${value}`);
  const answer = await client.receive();
  expect([answer.header("x-echo"), answer.body]).toEqual([overwrite, overwrite]);
});

/** The run's rules allow the place still, but no address that is not public. */
const forbidLoopback = () =>
  gate.put({ ...granted, policy: { mode: "strict", rules: [{ action: "allow", hosts: [host] }] } });

test("a policy that no longer states an address's range cuts what went there", async () => {
  const socket = await beginWebSocket("/ws-range");
  // A range that holds the address is as good as the one before.
  const policy = { mode: "strict", rules: [{ action: "allow", hosts: [host], cidr: ["127.0.0.1/32"] }] } as const;
  await gate.put({ ...granted, policy });
  socket.service.write("still here");
  await socket.client.stream.readUntil("still here");
  await forbidLoopback();
  await expectCut(socket);
  const isCut = ({ url, code }: { readonly url: string; readonly code?: unknown }) =>
    url.endsWith("/ws-range") && code === "gate.address_forbidden";
  await eventually("the record of the cut", () => gate.records.some(isCut));
});

test("a request whose connection was being opened under a range that is gone is not sent", async () => {
  await using silent = await openRawOrigin(undefined);
  const lookup = Promise.withResolvers<readonly string[]>();
  const asked: string[] = [];
  const lookUp = (name: string) => {
    asked.push(name);
    return lookup.promise;
  };
  await using late = await openGate({ deps: { lookUp } });
  const place = `late.test:${silent.port}`;
  await late.put({ policy: allowing(place) });
  const client = await late.tunnel(place, { cleartext: true });
  client.send(`GET /late HTTP/1.1\r\nHost: ${place}\r\n\r\n`);
  await eventually("the lookup", () => asked.length === 1);
  await late.put({ policy: { mode: "strict", rules: [{ action: "allow", hosts: [place] }] } });
  lookup.resolve(["127.0.0.1"]);
  expect((await client.receive()).header("x-gatehouse-denied")).toBe("gate.address_forbidden");
  for (const service of silent.connections === 0 ? [] : [await silent.accept()]) {
    await eventually("the end at the service", () => service.isClosed);
    expect(service.unread.length).toBe(0);
  }
});
