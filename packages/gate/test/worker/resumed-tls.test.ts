import { connect as connectTls, type TLSSocket } from "node:tls";
import { parseRunId } from "@gatehouse/core";
import { eventually } from "@gatehouse/testbed";
import { expect, test } from "vitest";
import { hashToken } from "../../src/worker/identify-run.ts";
import { ByteStream } from "./byte-stream.ts";
import { allowing, type GateUnderTest, injection, openGate, outside, ProxyClient } from "./gate-under-test.ts";
import { ok, openRawOrigin } from "./raw-origin.ts";

interface Resuming {
  readonly token?: string;
  readonly session?: Buffer;
}

/** TLS in a new tunnel, and the session that the gate gave for it. */
async function openTls(gate: GateUnderTest, host: string, { token, session }: Resuming) {
  const tunnel = await gate.tunnel(host, { cleartext: true, ...(token === undefined ? {} : { token }) });
  const socket: TLSSocket = connectTls({
    socket: tunnel.stream.release(),
    ca: gate.interceptionCa,
    servername: "api.test",
    ...(session === undefined ? {} : { session }),
  });
  let given: Buffer | undefined;
  socket.on("session", (fresh: Buffer) => {
    given = fresh;
  });
  const client = new ProxyClient(new ByteStream(socket));
  return { socket, client, session: () => eventually("a session", () => given) };
}

test("a session that one run began and another resumes brings nothing of the first along, nor after its end", async () => {
  await using origin = await openRawOrigin(outside, () => ok("hello"));
  await using gate = await openGate();
  const host = `api.test:${origin.port}`;
  const ask = ["GET / HTTP/1.1", `Host: ${host}`];
  await gate.put({ policy: allowing(host), injections: [injection(host, "Bearer first")] });
  const token = "cd".repeat(32);
  await gate.put({ runId: parseRunId("run-2"), tokenHash: hashToken(token), policy: allowing(host) });
  const first = await openTls(gate, host, {});
  expect((await first.client.ask(ask)).status).toBe(200);
  const session = await first.session();
  const second = await openTls(gate, host, { token, session });
  expect((await second.client.ask(ask)).status).toBe(200);
  expect(second.socket.isSessionReused()).toBe(true);
  await gate.drop("run-1");
  const third = await openTls(gate, host, { token, session });
  expect((await third.client.ask(ask)).status).toBe(200);
  expect(third.socket.isSessionReused()).toBe(true);
  const sent = origin.requests.map(({ fields }) => fields.find(([name]) => name === "authorization")?.[1]);
  expect(sent).toEqual(["Bearer first", undefined, undefined]);
});

test("a session of one host ends in the tunnel of another, even where both had the same ticket keys", async () => {
  await using origin = await openRawOrigin(outside, () => ok("hello"));
  await using gate = await openGate();
  const [host, other] = [`api.test:${origin.port}`, `other.test:${origin.port}`];
  await gate.put({ policy: allowing(host, other), injections: [injection(other, "Bearer other")] });
  const first = await openTls(gate, host, {});
  expect((await first.client.ask(["GET / HTTP/1.1", `Host: ${host}`])).status).toBe(200);
  const crossed = await openTls(gate, other, { session: await first.session() });
  crossed.client.send(`GET / HTTP/1.1\r\nHost: ${other}\r\n\r\n`);
  await eventually("the end of the tunnel", () => crossed.client.isClosed);
  await eventually("the record", () => gate.records.some(({ code }) => code === "gate.destination_mismatch"));
  expect(origin.requests).toHaveLength(1);
});
