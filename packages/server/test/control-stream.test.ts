import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { create, toBinary } from "@bufbuild/protobuf";
import { createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { bundleTuple, commandTuple, freshnessTuple } from "@gatehouse/core";
import { checkKeySet, keysFor, verifySignature } from "@gatehouse/kit";
import {
  Ack_Status,
  type Command,
  CommandPayloadSchema,
  Goaway_Reason,
  Liveness,
  NodeGatewayService,
  SentCommand_State,
} from "@gatehouse/wire";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openServerKeys } from "../src/keys/server-keys.ts";
import { DATABASES, type TestDatabase } from "./databases.ts";
import {
  FleetUnderTest,
  HostUnderTest,
  hash,
  makePair,
  type OrgUnderTest,
  refused,
  signWith,
} from "./fleet-under-test.ts";
import { apiKeyOf } from "./host-session.ts";
import { helloOf, SessionUnderTest, StreamUnderTest } from "./stream-under-test.ts";

const MINUTE_MS = 60_000;
const PING = toBinary(CommandPayloadSchema, create(CommandPayloadSchema, { kind: { case: "ping", value: {} } }));
const START = toBinary(
  CommandPayloadSchema,
  create(CommandPayloadSchema, { kind: { case: "startRun", value: { runId: "r1", command: ["true"] } } }),
);

describe.each(DATABASES)("a node's control stream on $name", ({ open }) => {
  let database: TestDatabase;
  let fleet: FleetUnderTest;
  let org: OrgUnderTest;

  beforeAll(async () => {
    database = await open();
    fleet = await FleetUnderTest.open(database.location);
    org = await fleet.createOrg("acme");
  });
  afterAll(async () => {
    await fleet[Symbol.asyncDispose]();
    await database[Symbol.asyncDispose]();
  });

  test("a Hello is answered at once with the server's time, a nonce and signed freshness", async () => {
    const session = await SessionUnderTest.open(await org.enroll("s1"));
    await using stream = await StreamUnderTest.open(session);
    const accepted = await stream.next("accepted");
    expect(Number(accepted.serverTime)).toBe(fleet.clock.now());
    expect(Number(accepted.sessionExpiresAt)).toBe(fleet.clock.now() + 15 * MINUTE_MS);
    const { freshness } = accepted;
    const state = { orgId: org.orgId, nodeId: session.host.registered.nodeId, epoch: 1, generation: 1 };
    const tuple = freshnessTuple(state, Number(freshness?.serverTime));
    const [key] = keysFor(keySet(), "bundle");
    expect(verifySignature(key?.key ?? new Uint8Array(), tuple, freshness?.signature ?? new Uint8Array())).toBe(true);
    expect(await nodeOf(session.host)).toMatchObject({ isConnected: true, liveness: Liveness.ONLINE });
  });

  test("a stream that says nothing, or anything else first, is ended", async () => {
    const session = await SessionUnderTest.open(await org.enroll("s2"));
    await using silent = await StreamUnderTest.open(session, { hello: undefined });
    await using wrong = await StreamUnderTest.open(session, {
      hello: { case: "heartbeat", value: { sentAt: 1n, health: 1 } },
    });
    expect(await wrong.ended).toEqual(refused("stream.no_hello"));
    expect(await silent.ended).toEqual(refused("stream.no_hello"));
    expect(await nodeOf(session.host)).toMatchObject({ isConnected: false, softwareVersion: "" });
  });

  test("a second stream ends the first, whose acknowledgements count no more", async () => {
    const session = await SessionUnderTest.open(await org.enroll("s3"));
    await using first = await StreamUnderTest.open(session);
    await send(session.host, PING);
    const command = await first.next("command");
    await using second = await StreamUnderTest.open(session);
    expect((await first.next("goaway")).reason).toBe(Goaway_Reason.REPLACED);
    expect(await first.ended).toBeUndefined();
    const again = await second.next("command");
    expect(again.header).toMatchObject({ commandId: command.header?.commandId, seq: 2n });
    acknowledge(second, again);
    await second.next("ackReceived");
    expect(await statesOf(session.host)).toEqual(["ok"]);
  });

  test("a new handshake fences the stream of the session before", async () => {
    const host = await org.enroll("s4");
    const key = await apiKeyOf(host);
    const session = await SessionUnderTest.open(host, key);
    await using stream = await StreamUnderTest.open(session);
    await stream.next("accepted");
    await SessionUnderTest.open(host, key);
    expect((await stream.next("goaway")).reason).toBe(Goaway_Reason.SESSION_ENDED);
  });

  test("a revoked node is told so and heard no more", async () => {
    const session = await SessionUnderTest.open(await org.enroll("s5"));
    await using stream = await StreamUnderTest.open(session);
    await stream.next("accepted");
    await org.nodes.revokeNode({ nodeId: session.host.registered.nodeId }, org.headers);
    expect((await stream.next("goaway")).reason).toBe(Goaway_Reason.NODE_REVOKED);
    await using late = await StreamUnderTest.open(session);
    expect(await late.ended).toEqual(refused("auth.refused"));
  });

  test("a stream does not outlive its session; renewed in band it goes on under the same one", async () => {
    const session = await SessionUnderTest.open(await org.enroll("s6"));
    await using stream = await StreamUnderTest.open(session);
    session.nonce = (await stream.next("accepted")).dpopNonce;
    fleet.clock.advance(30_000);
    const { headers } = await session.proofOf("ControlStream");
    stream.send({ case: "renewSession", value: { proof: headers.DPoP } });
    const renewed = await stream.next("sessionRenewed");
    expect(Number(renewed.expiresAt)).toBe(fleet.clock.now() + 15 * MINUTE_MS);
    const before = session.token;
    await beat(session, before);
    await beat(session, renewed.sessionToken);
    fleet.clock.advance(61_000);
    await expect(beat(session, before)).rejects.toEqual(refused("auth.refused"));
    fleet.clock.advance(15 * MINUTE_MS);
    stream.send({ case: "heartbeat", value: { sentAt: 1n, health: 1 } });
    expect((await stream.next("goaway")).reason).toBe(Goaway_Reason.SESSION_ENDED);
    expect(stream.count("heartbeatAnswer")).toBe(0);
  });

  test("a renewal without the node's key renews nothing and ends the stream", async () => {
    const session = await SessionUnderTest.open(await org.enroll("s7"));
    await using stream = await StreamUnderTest.open(session);
    session.nonce = (await stream.next("accepted")).dpopNonce;
    const thief = Object.assign(Object.create(session.host), { identity: makePair("ed25519") }) as HostUnderTest;
    const { headers } = await thief.proof(session.token, "ControlStream", session.nonce);
    stream.send({ case: "renewSession", value: { proof: headers.DPoP } });
    expect(await stream.ended).toEqual(refused("auth.refused"));
    expect(stream.count("sessionRenewed")).toBe(0);
  });

  test("a stolen token opens no stream without the node's key", async () => {
    const session = await SessionUnderTest.open(await org.enroll("s8"));
    const thief = Object.assign(Object.create(session.host), { identity: makePair("ed25519") }) as HostUnderTest;
    const stolen = Object.assign(Object.create(session), { host: thief }) as SessionUnderTest;
    await using stream = await StreamUnderTest.open(stolen);
    expect(await stream.ended).toEqual(refused("auth.refused"));
    expect(await nodeOf(session.host)).toMatchObject({ isConnected: false, lastSeenAt: 0n });
  });

  test("heartbeats are answered alike on the stream and by call, and a quiet node grows stale", async () => {
    const session = await SessionUnderTest.open(await org.enroll("s9"));
    const stream = await StreamUnderTest.open(session);
    stream.send({ case: "heartbeat", value: { sentAt: 1n, health: 1, runCount: 3, bundleGeneration: 1n } });
    expect((await stream.next("heartbeatAnswer")).bundleGeneration).toBe(1n);
    expect(await nodeOf(session.host)).toMatchObject({ runCount: 3, appliedGeneration: 1n, isConnected: true });
    await stream[Symbol.asyncDispose]();
    await expect.poll(async () => (await nodeOf(session.host))?.isConnected).toBe(false);
    fleet.clock.advance(91_000);
    expect((await nodeOf(session.host))?.liveness).toBe(Liveness.STALE);
    await beat(session, session.token);
    expect((await nodeOf(session.host))?.liveness).toBe(Liveness.ONLINE);
  });

  test("a command is signed for its node and this place in the order, and ends with the first acknowledgement", async () => {
    const session = await SessionUnderTest.open(await org.enroll("c1"));
    await using stream = await StreamUnderTest.open(session);
    const sent = await send(session.host, PING);
    const command = await stream.next("command");
    expect(verifies(session.host, command)).toBe(true);
    acknowledge(stream, command, { message: "pong", payload: new Uint8Array([1]) });
    await stream.next("ackReceived");
    acknowledge(stream, command, { status: Ack_Status.INTERNAL });
    await stream.next("ackReceived");
    const { commands, totals } = await org.nodes.listCommands({ batchId: sent.batchId }, org.headers);
    expect(commands).toMatchObject([
      { state: SentCommand_State.OK, message: "pong", kind: "ping", actor: "operator:ada" },
    ]);
    expect(totals).toEqual({ ok: 1 });
  });

  test("at most six commands of one member are in a node's hands and 48 wait; one more is turned away and may be tried again", async () => {
    const session = await SessionUnderTest.open(await org.enroll("c2"));
    for (let index = 0; index < 48; index += 1) await send(session.host, PING, `k${index}`);
    const full = await send(session.host, PING, "over");
    expect(full.commands).toMatchObject([{ state: SentCommand_State.BUSY }]);
    await using stream = await StreamUnderTest.open(session);
    const first = await stream.next("command");
    for (let index = 1; index < 6; index += 1)
      expect((await stream.next("command")).header?.seq).toBe(BigInt(index + 1));
    stream.send({ case: "heartbeat", value: { sentAt: 1n, health: 1 } });
    await stream.next("heartbeatAnswer");
    expect(stream.count("command")).toBe(6);
    acknowledge(stream, first);
    expect((await stream.next("command")).header?.seq).toBe(7n);
    expect((await send(session.host, PING, "over")).commands).toMatchObject([{ state: SentCommand_State.QUEUED }]);
  });

  test("the same key is the same command; with another payload it is refused", async () => {
    const session = await SessionUnderTest.open(await org.enroll("c3"));
    const one = await send(session.host, PING, "once");
    expect(await send(session.host, PING, "once")).toEqual(one);
    await expect(send(session.host, START, "once")).rejects.toEqual(refused("commands.key_reused"));
    await using stream = await StreamUnderTest.open(session);
    await stream.next("command");
    expect(stream.count("command")).toBe(1);
  });

  test("a command that nobody took in time expires and is not sent", async () => {
    const session = await SessionUnderTest.open(await org.enroll("c4"));
    const { batchId } = await send(session.host, PING, "late", 1_000n);
    fleet.clock.advance(2_000);
    await using stream = await StreamUnderTest.open(session);
    await stream.next("accepted");
    const ended = await org.nodes.listCommands({ batchId, waitMs: 10_000n }, org.headers);
    expect(ended.totals).toEqual({ expired: 1 });
    expect(stream.count("command")).toBe(0);
  });

  test("a cordoned node is given no run, and everything else", async () => {
    const session = await SessionUnderTest.open(await org.enroll("c5"));
    const { nodeId } = session.host.registered;
    await org.nodes.cordonNode({ nodeId, cordoned: true }, org.headers);
    expect((await send(session.host, START)).commands).toMatchObject([{ state: SentCommand_State.FORBIDDEN }]);
    await send(session.host, PING);
    await using stream = await StreamUnderTest.open(session);
    const command = await stream.next("command");
    expect(command.payload).toEqual(PING);
  });

  test("a batch reaches the nodes of a label, each once", async () => {
    const hosts = [await org.enroll("b1"), await org.enroll("b2")];
    const sent = await org.nodes.sendCommand(
      { nodeIds: hosts.map(({ registered }) => registered.nodeId), payload: PING, idempotencyKey: "batch" },
      org.headers,
    );
    expect(sent.commands.map(({ state }) => state)).toEqual([SentCommand_State.QUEUED, SentCommand_State.QUEUED]);
    const none = { labels: { zone: "nowhere" }, payload: PING, idempotencyKey: "none" };
    await expect(org.nodes.sendCommand(none, org.headers)).rejects.toEqual(refused("nodes.not_found"));
    const both = { ...none, nodeIds: hosts.map(({ registered }) => registered.nodeId) };
    await expect(org.nodes.sendCommand(both, org.headers)).rejects.toEqual(refused("api.malformed"));
  });

  test("a node that claims a generation that no number holds is refused, and its organisation reads on", async () => {
    const session = await SessionUnderTest.open(await org.enroll("h9"));
    await using stream = await StreamUnderTest.open(session);
    stream.send({ case: "heartbeat", value: { sentAt: 1n, health: 1, runCount: 0, bundleGeneration: 2n ** 60n } });
    await stream.ended.catch(() => undefined);
    expect((await org.nodes.getNode({ node: "h9" }, org.headers)).node?.appliedGeneration).toBe(0n);
  });

  test("a label is taken to the letter", async () => {
    const host = new HostUnderTest(org, "l1");
    const { code } = await org.nodes.createEnrollmentCode({ labels: { zone: "Prod%" } }, org.headers);
    await host.register(code);
    await org.confirm(host);
    const toLabel = (zone: string) =>
      org.nodes.sendCommand({ labels: { zone }, payload: PING, idempotencyKey: `to ${zone}` }, org.headers);
    for (const other of ["prod%", "Prod", "Prod_", "%"]) {
      await expect(toLabel(other)).rejects.toEqual(refused("nodes.not_found"));
    }
    expect((await toLabel("Prod%")).commands).toMatchObject([{ nodeId: host.registered.nodeId }]);
  });

  test("a node that lost its journal, or that runs twice, gets nothing until an operator accepts it", async () => {
    const host = await org.enroll("q1");
    const session = await SessionUnderTest.open(host);
    const [bootA, bootB] = [randomUUID(), randomUUID()];
    const first = await StreamUnderTest.open(session, { hello: helloOf(bootA) });
    await send(host, PING);
    acknowledge(first, await first.next("command"));
    await first.next("ackReceived");
    await first[Symbol.asyncDispose]();
    await send(host, PING);
    await using forgetful = await StreamUnderTest.open(session, { hello: helloOf(bootB) });
    await forgetful.next("accepted");
    expect((await nodeOf(host))?.quarantineReason).toBe("position_behind");
    expect(forgetful.count("command")).toBe(0);
    await org.nodes.acceptNode({ nodeId: host.registered.nodeId }, org.headers);
    await forgetful.next("command");
    await using returned = await StreamUnderTest.open(session, { hello: helloOf(bootA) });
    await returned.next("accepted");
    expect((await nodeOf(host))?.quarantineReason).toBe("");
    await using alternating = await StreamUnderTest.open(session, { hello: helloOf(bootB) });
    await alternating.next("accepted");
    expect((await nodeOf(host))?.quarantineReason).toBe("two_boots");
  });

  test("a node that refused a command, or knew one that was sent again, is where it should be at its next Hello", async () => {
    const host = await org.enroll("q4");
    const session = await SessionUnderTest.open(host);
    const first = await StreamUnderTest.open(session);
    await send(host, PING);
    const { header } = await first.next("command");
    const lastCommand = header ?? {};
    await first[Symbol.asyncDispose]();
    // Its daemon died while it did that: it knows it under the first number, whatever it is given now.
    const second = await StreamUnderTest.open(session, { hello: helloOf(randomUUID(), { lastCommand }) });
    const again = await second.next("command");
    expect(again.header?.seq).toBeGreaterThan(header?.seq ?? 0n);
    acknowledge(second, again, { status: Ack_Status.OUTCOME_UNKNOWN });
    await second.next("ackReceived");
    await send(host, PING);
    acknowledge(second, await second.next("command"), { status: Ack_Status.BUSY });
    await second.next("ackReceived");
    await second[Symbol.asyncDispose]();
    const third = await StreamUnderTest.open(session, { hello: helloOf(randomUUID(), { lastCommand }) });
    await third.next("accepted");
    expect((await nodeOf(host))?.quarantineReason).toBe("");
    await third[Symbol.asyncDispose]();
    // What its Hello proved counts all the same: it lost its journal now.
    await using forgetful = await StreamUnderTest.open(session);
    await forgetful.next("accepted");
    expect((await nodeOf(host))?.quarantineReason).toBe("position_behind");
  });

  test("a node that serves a bundle which this server signed and lost gets nothing until an operator accepts it, then a newer one", async () => {
    const host = await org.enroll("q2");
    const session = await SessionUnderTest.open(host);
    const { nodeId } = host.registered;
    const own = { now: () => fleet.clock.now(), randomBytes: () => new Uint8Array(32) };
    const { keySet, working } = await openServerKeys(fleet.directory, own);
    const header = (signer: Pick<typeof working.bundle.key, "sign">, generation: number) => {
      const [issuedAt, manifestSha256] = [fleet.clock.now(), new Uint8Array(32)];
      const { epoch } = keySet;
      const tuple = bundleTuple({ orgId: org.orgId, nodeId, epoch, generation }, issuedAt, manifestSha256);
      const counted = { epoch: BigInt(epoch), generation: BigInt(generation), issuedAt: BigInt(issuedAt) };
      return { lastBundle: { ...counted, manifestSha256, keyId: working.bundle.id, signature: signer.sign(tuple) } };
    };
    const forged = header({ sign: (bytes) => signWith(host.identity, bytes) }, 40);
    await using liar = await StreamUnderTest.open(session, { hello: helloOf(randomUUID(), forged) });
    await liar.next("accepted");
    expect(await nodeOf(host)).toMatchObject({ quarantineReason: "", generation: 1n });
    await using ahead = await StreamUnderTest.open(session, {
      hello: helloOf(randomUUID(), header(working.bundle.key, 41)),
    });
    await ahead.next("accepted");
    expect(await nodeOf(host)).toMatchObject({ quarantineReason: "bundle_ahead", generation: 41n });
    await send(host, PING);
    expect(ahead.count("command")).toBe(0);
    await org.nodes.acceptNode({ nodeId }, org.headers);
    await ahead.next("command");
    expect(await nodeOf(host)).toMatchObject({ quarantineReason: "", generation: 42n });
  });

  test("another organisation's node can be sent nothing, as one that is nowhere", async () => {
    const nodeIds = ["0190a1b2-0000-7000-8000-000000000000"];
    await expect(org.nodes.sendCommand({ nodeIds, payload: PING, idempotencyKey: "x" }, org.headers)).rejects.toEqual(
      refused("nodes.not_found"),
    );
  });

  test("what is no command is refused before anything is queued", async () => {
    const host = await org.enroll("c6");
    const garbage = { nodeIds: [host.registered.nodeId], payload: new Uint8Array([255]), idempotencyKey: "x" };
    await expect(org.nodes.sendCommand(garbage, org.headers)).rejects.toEqual(refused("api.malformed"));
    expect(await statesOf(host)).toEqual([]);
  });

  test("a command of another node is not acknowledged by this one", async () => {
    const [mine, other] = [await org.enroll("c7"), await org.enroll("c8")];
    const { batchId } = await send(other, PING);
    await using theirs = await StreamUnderTest.open(await SessionUnderTest.open(other));
    const command = await theirs.next("command");
    await using stream = await StreamUnderTest.open(await SessionUnderTest.open(mine));
    acknowledge(stream, command);
    await stream.next("ackReceived");
    expect((await org.nodes.listCommands({ batchId }, org.headers)).totals).toEqual({ sent: 1 });
  });

  function keySet() {
    return checkKeySet(
      JSON.parse(readFileSync(join(fleet.directory, "keys", "key-set.json"), "utf8")),
      fleet.serverKey,
    );
  }

  function verifies(host: HostUnderTest, { header, payload }: Command): boolean {
    const { commandId = "", idempotencyKey = "", actor = "", epoch = 0n, seq = 0n, notAfter = 0n } = header ?? {};
    const place = { epoch: Number(epoch), seq: Number(seq), notAfter: Number(notAfter), payloadSha256: hash(payload) };
    const own = { orgId: org.orgId, nodeId: host.registered.nodeId, commandId, idempotencyKey, actor };
    const [key] = keysFor(keySet(), "command");
    const signature = header?.signature ?? new Uint8Array();
    return verifySignature(key?.key ?? new Uint8Array(), commandTuple({ ...own, ...place }), signature);
  }

  async function nodeOf(host: HostUnderTest) {
    return (await org.nodes.getNode({ node: host.name }, org.headers)).node;
  }

  const batches = new Map<string, string[]>();

  async function send(host: HostUnderTest, payload: Uint8Array, idempotencyKey: string = randomUUID(), ttlMs = 0n) {
    const { nodeId } = host.registered;
    const sent = await org.nodes.sendCommand({ nodeIds: [nodeId], payload, idempotencyKey, ttlMs }, org.headers);
    batches.set(nodeId, [...(batches.get(nodeId) ?? []), sent.batchId]);
    return sent;
  }

  async function statesOf(host: HostUnderTest): Promise<readonly string[]> {
    const lists = await Promise.all(
      (batches.get(host.registered.nodeId) ?? []).map((batchId) => org.nodes.listCommands({ batchId }, org.headers)),
    );
    return lists.flatMap(({ totals }) => Object.keys(totals));
  }

  async function beat(session: SessionUnderTest, token: string) {
    const { nonce } = session;
    const heartbeat = { sentAt: 1n, health: 1 };
    const gateway = createClient(
      NodeGatewayService,
      createGrpcTransport({ baseUrl: fleet.server.url, nodeOptions: { rejectUnauthorized: false } }),
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
});

function acknowledge(stream: StreamUnderTest, { header }: Command, more: object = {}): void {
  stream.send({ case: "ack", value: { commandId: header?.commandId ?? "", status: Ack_Status.OK, ...more } });
}
