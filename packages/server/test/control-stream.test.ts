import { createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { freshnessTuple } from "@gatehouse/core";
import { keysFor, verifySignature } from "@gatehouse/kit";
import { Goaway_Reason, Liveness, NodeGatewayService } from "@gatehouse/wire";
import { describe, expect, test } from "vitest";
import { acknowledge, nodeOf, send } from "./commands-under-test.ts";
import { DATABASES } from "./databases.ts";
import { type HostUnderTest, makePair, refused } from "./fleet-under-test.ts";
import { apiKeyOf } from "./host-session.ts";
import { orgOnDatabase } from "./org-on-database.ts";
import { SessionUnderTest, StreamUnderTest } from "./stream-under-test.ts";

const MINUTE_MS = 60_000;

describe.each(DATABASES)("a node's control stream on $name", ({ open }) => {
  const on = orgOnDatabase(open);

  test("a Hello is answered at once with the server's time, a nonce and signed freshness", async () => {
    const session = await SessionUnderTest.open(await on.org.enroll("s1"));
    await using stream = await StreamUnderTest.open(session);
    const accepted = await stream.next("accepted");
    expect(Number(accepted.serverTime)).toBe(on.fleet.clock.now());
    expect(Number(accepted.sessionExpiresAt)).toBe(on.fleet.clock.now() + 15 * MINUTE_MS);
    const { freshness } = accepted;
    const state = { orgId: on.org.orgId, nodeId: session.host.registered.nodeId, epoch: 1, generation: 1 };
    const tuple = freshnessTuple(state, Number(freshness?.serverTime));
    const [key] = keysFor(on.fleet.keySet, "bundle");
    expect(verifySignature(key?.key ?? new Uint8Array(), tuple, freshness?.signature ?? new Uint8Array())).toBe(true);
    expect(await nodeOf(session.host)).toMatchObject({ isConnected: true, liveness: Liveness.ONLINE });
  });

  test("a stream that says nothing, or anything else first, is ended", async () => {
    const session = await SessionUnderTest.open(await on.org.enroll("s2"));
    await using silent = await StreamUnderTest.open(session, { hello: undefined });
    await using wrong = await StreamUnderTest.open(session, {
      hello: { case: "heartbeat", value: { sentAt: 1n, health: 1 } },
    });
    expect(await wrong.ended).toEqual(refused("stream.no_hello"));
    expect(await silent.ended).toEqual(refused("stream.no_hello"));
    expect(await nodeOf(session.host)).toMatchObject({ isConnected: false, softwareVersion: "" });
  });

  test("a second stream ends the first, whose acknowledgements count no more", async () => {
    const session = await SessionUnderTest.open(await on.org.enroll("s3"));
    await using first = await StreamUnderTest.open(session);
    const { batchId } = await send(session.host);
    const command = await first.next("command");
    await using second = await StreamUnderTest.open(session);
    expect((await first.next("goaway")).reason).toBe(Goaway_Reason.REPLACED);
    expect(await first.ended).toBeUndefined();
    const again = await second.next("command");
    expect(again.header).toMatchObject({ commandId: command.header?.commandId, seq: 2n });
    acknowledge(second, again);
    await second.next("ackReceived");
    expect((await on.org.nodes.listCommands({ batchId }, on.org.headers)).totals).toEqual({ ok: 1 });
  });

  test("a new handshake fences the stream of the session before", async () => {
    const host = await on.org.enroll("s4");
    const key = await apiKeyOf(host);
    const session = await SessionUnderTest.open(host, key);
    await using stream = await StreamUnderTest.open(session);
    await stream.next("accepted");
    await SessionUnderTest.open(host, key);
    expect((await stream.next("goaway")).reason).toBe(Goaway_Reason.SESSION_ENDED);
  });

  test("a revoked node is told so and heard no more", async () => {
    const session = await SessionUnderTest.open(await on.org.enroll("s5"));
    await using stream = await StreamUnderTest.open(session);
    await stream.next("accepted");
    await on.org.nodes.revokeNode({ nodeId: session.host.registered.nodeId }, on.org.headers);
    expect((await stream.next("goaway")).reason).toBe(Goaway_Reason.NODE_REVOKED);
    await using late = await StreamUnderTest.open(session);
    expect(await late.ended).toEqual(refused("auth.refused"));
  });

  test("a stream does not outlive its session; renewed in band it goes on under the same one", async () => {
    const session = await SessionUnderTest.open(await on.org.enroll("s6"));
    await using stream = await StreamUnderTest.open(session);
    session.nonce = (await stream.next("accepted")).dpopNonce;
    on.fleet.clock.advance(30_000);
    const { headers } = await session.proofOf("ControlStream");
    stream.send({ case: "renewSession", value: { proof: headers.DPoP } });
    const renewed = await stream.next("sessionRenewed");
    expect(Number(renewed.expiresAt)).toBe(on.fleet.clock.now() + 15 * MINUTE_MS);
    const before = session.token;
    await beat(session, before);
    await beat(session, renewed.sessionToken);
    on.fleet.clock.advance(61_000);
    await expect(beat(session, before)).rejects.toEqual(refused("auth.refused"));
    on.fleet.clock.advance(15 * MINUTE_MS);
    stream.send({ case: "heartbeat", value: { sentAt: 1n, health: 1 } });
    expect((await stream.next("goaway")).reason).toBe(Goaway_Reason.SESSION_ENDED);
    expect(stream.count("heartbeatAnswer")).toBe(0);
  });

  test("a renewal without the node's key renews nothing and ends the stream", async () => {
    const session = await SessionUnderTest.open(await on.org.enroll("s7"));
    await using stream = await StreamUnderTest.open(session);
    session.nonce = (await stream.next("accepted")).dpopNonce;
    const thief = Object.assign(Object.create(session.host), { identity: makePair("ed25519") }) as HostUnderTest;
    const { headers } = await thief.proof(session.token, "ControlStream", session.nonce);
    stream.send({ case: "renewSession", value: { proof: headers.DPoP } });
    expect(await stream.ended).toEqual(refused("auth.refused"));
    expect(stream.count("sessionRenewed")).toBe(0);
  });

  test("a stolen token opens no stream without the node's key", async () => {
    const session = await SessionUnderTest.open(await on.org.enroll("s8"));
    const thief = Object.assign(Object.create(session.host), { identity: makePair("ed25519") }) as HostUnderTest;
    const stolen = Object.assign(Object.create(session), { host: thief }) as SessionUnderTest;
    await using stream = await StreamUnderTest.open(stolen);
    expect(await stream.ended).toEqual(refused("auth.refused"));
    expect(await nodeOf(session.host)).toMatchObject({ isConnected: false, lastSeenAt: 0n });
  });

  test("heartbeats are answered alike on the stream and by call, and a quiet node grows stale", async () => {
    const session = await SessionUnderTest.open(await on.org.enroll("s9"));
    const stream = await StreamUnderTest.open(session);
    stream.send({ case: "heartbeat", value: { sentAt: 1n, health: 1, runCount: 3, bundleGeneration: 1n } });
    expect((await stream.next("heartbeatAnswer")).bundleGeneration).toBe(1n);
    expect(await nodeOf(session.host)).toMatchObject({ runCount: 3, appliedGeneration: 1n, isConnected: true });
    await stream[Symbol.asyncDispose]();
    await expect.poll(async () => (await nodeOf(session.host))?.isConnected).toBe(false);
    on.fleet.clock.advance(91_000);
    expect((await nodeOf(session.host))?.liveness).toBe(Liveness.STALE);
    await beat(session, session.token);
    expect((await nodeOf(session.host))?.liveness).toBe(Liveness.ONLINE);
  });

  test("a node that claims a generation that no number holds is refused, and its organisation reads on", async () => {
    const session = await SessionUnderTest.open(await on.org.enroll("h9"));
    await using stream = await StreamUnderTest.open(session);
    stream.send({ case: "heartbeat", value: { sentAt: 1n, health: 1, runCount: 0, bundleGeneration: 2n ** 60n } });
    await stream.ended.catch(() => undefined);
    expect((await on.org.nodes.getNode({ node: "h9" }, on.org.headers)).node?.appliedGeneration).toBe(0n);
  });
});

/** A heartbeat by a call of its own, with a token of the session. */
async function beat(session: SessionUnderTest, token: string) {
  const { nonce } = session;
  const heartbeat = { sentAt: 1n, health: 1 };
  const gateway = createClient(
    NodeGatewayService,
    createGrpcTransport({ baseUrl: session.host.org.fleet.server.url, nodeOptions: { rejectUnauthorized: false } }),
  );
  const stale = await session.host.proof(token, "UploadHeartbeat", nonce);
  const fresh = await gateway.uploadHeartbeat({ heartbeat }, stale).then(
    () => undefined,
    (failure: { metadata: Headers }) => failure,
  );
  if (fresh === undefined) return;
  if (fresh.metadata.get("gatehouse-problem") !== "auth.stale_nonce") throw fresh;
  session.nonce = fresh.metadata.get("dpop-nonce") ?? "";
  await gateway.uploadHeartbeat({ heartbeat }, await session.host.proof(token, "UploadHeartbeat", session.nonce));
}
