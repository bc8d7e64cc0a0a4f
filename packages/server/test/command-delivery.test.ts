import { create, toBinary } from "@bufbuild/protobuf";
import { commandTuple } from "@gatehouse/core";
import { keysFor, verifySignature } from "@gatehouse/kit";
import { Ack_Status, type Command, CommandPayloadSchema, SentCommand_State } from "@gatehouse/wire";
import { describe, expect, test } from "vitest";
import { acknowledge, PING, send } from "./commands-under-test.ts";
import { DATABASES } from "./databases.ts";
import { HostUnderTest, hash, refused } from "./fleet-under-test.ts";
import { orgOnDatabase } from "./org-on-database.ts";
import { SessionUnderTest, StreamUnderTest } from "./stream-under-test.ts";

const START = toBinary(
  CommandPayloadSchema,
  create(CommandPayloadSchema, { kind: { case: "startRun", value: { runId: "r1", command: ["true"] } } }),
);

describe.each(DATABASES)("commands for a node on $name", ({ open }) => {
  const on = orgOnDatabase(open);

  test("a command is signed for its node and this place in the order, and ends with the first acknowledgement", async () => {
    const session = await SessionUnderTest.open(await on.org.enroll("c1"));
    await using stream = await StreamUnderTest.open(session);
    const sent = await send(session.host);
    const command = await stream.next("command");
    expect(verifies(session.host, command)).toBe(true);
    acknowledge(stream, command, { message: "pong", payload: new Uint8Array([1]) });
    await stream.next("ackReceived");
    acknowledge(stream, command, { status: Ack_Status.INTERNAL });
    await stream.next("ackReceived");
    const { commands, totals } = await on.org.nodes.listCommands({ batchId: sent.batchId }, on.org.headers);
    expect(commands).toMatchObject([
      { state: SentCommand_State.OK, message: "pong", kind: "ping", actor: "operator:ada" },
    ]);
    expect(totals).toEqual({ ok: 1 });
  });

  test("at most six commands of one member are in a node's hands and 48 wait; one more is turned away and may be tried again", async () => {
    const session = await SessionUnderTest.open(await on.org.enroll("c2"));
    for (let index = 0; index < 48; index += 1) await send(session.host, { key: `k${index}` });
    const full = await send(session.host, { key: "over" });
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
    expect((await send(session.host, { key: "over" })).commands).toMatchObject([{ state: SentCommand_State.QUEUED }]);
  });

  test("the same key is the same command; with another payload it is refused", async () => {
    const session = await SessionUnderTest.open(await on.org.enroll("c3"));
    const one = await send(session.host, { key: "once" });
    expect(await send(session.host, { key: "once" })).toEqual(one);
    await expect(send(session.host, { payload: START, key: "once" })).rejects.toEqual(refused("commands.key_reused"));
    await using stream = await StreamUnderTest.open(session);
    await stream.next("command");
    expect(stream.count("command")).toBe(1);
  });

  test("a command that nobody took in time expires and is not sent", async () => {
    const session = await SessionUnderTest.open(await on.org.enroll("c4"));
    const { batchId } = await send(session.host, { key: "late", ttlMs: 1_000n });
    on.fleet.clock.advance(2_000);
    await using stream = await StreamUnderTest.open(session);
    await stream.next("accepted");
    const ended = await on.org.nodes.listCommands({ batchId, waitMs: 10_000n }, on.org.headers);
    expect(ended.totals).toEqual({ expired: 1 });
    expect(stream.count("command")).toBe(0);
  });

  test("a cordoned node is given no run, and everything else", async () => {
    const session = await SessionUnderTest.open(await on.org.enroll("c5"));
    const { nodeId } = session.host.registered;
    await on.org.nodes.cordonNode({ nodeId, cordoned: true }, on.org.headers);
    expect((await send(session.host, { payload: START })).commands).toMatchObject([
      { state: SentCommand_State.FORBIDDEN },
    ]);
    await send(session.host);
    await using stream = await StreamUnderTest.open(session);
    const command = await stream.next("command");
    expect(command.payload).toEqual(PING);
  });

  test("a run that waited for a node when it was cordoned is not started there; it may be asked for again", async () => {
    const session = await SessionUnderTest.open(await on.org.enroll("c5-queued"));
    const { nodeId } = session.host.registered;
    const { batchId } = await send(session.host, { payload: START, key: "before" });
    await send(session.host);
    await on.org.nodes.cordonNode({ nodeId, cordoned: true }, on.org.headers);
    {
      await using stream = await StreamUnderTest.open(session);
      expect((await stream.next("command")).payload).toEqual(PING);
      expect(stream.count("command")).toBe(1);
    }
    const ended = await on.org.nodes.listCommands({ batchId }, on.org.headers);
    expect(ended.commands).toMatchObject([{ state: SentCommand_State.FORBIDDEN }]);
    expect(ended.commands[0]?.message).toContain("cordoned");
    await on.org.nodes.cordonNode({ nodeId, cordoned: false }, on.org.headers);
    await send(session.host, { payload: START, key: "before" });
    await using stream = await StreamUnderTest.open(session);
    expect([(await stream.next("command")).payload, (await stream.next("command")).payload]).toContainEqual(START);
  });

  test("a batch reaches each node that is named once; nodes are named or chosen by a label, not both", async () => {
    const hosts = [await on.org.enroll("b1"), await on.org.enroll("b2")];
    const sent = await on.org.nodes.sendCommand(
      { nodeIds: hosts.map(({ registered }) => registered.nodeId), payload: PING, idempotencyKey: "batch" },
      on.org.headers,
    );
    expect(sent.commands.map(({ state }) => state)).toEqual([SentCommand_State.QUEUED, SentCommand_State.QUEUED]);
    const none = { labels: { zone: "nowhere" }, payload: PING, idempotencyKey: "none" };
    await expect(on.org.nodes.sendCommand(none, on.org.headers)).rejects.toEqual(refused("nodes.not_found"));
    const both = { ...none, nodeIds: hosts.map(({ registered }) => registered.nodeId) };
    await expect(on.org.nodes.sendCommand(both, on.org.headers)).rejects.toEqual(refused("api.malformed"));
  });

  test("a label is taken to the letter", async () => {
    const host = new HostUnderTest(on.org, "l1");
    const { code } = await on.org.nodes.createEnrollmentCode({ labels: { zone: "Prod%" } }, on.org.headers);
    await host.register(code);
    await on.org.confirm(host);
    const toLabel = (zone: string) =>
      on.org.nodes.sendCommand({ labels: { zone }, payload: PING, idempotencyKey: `to ${zone}` }, on.org.headers);
    for (const other of ["prod%", "Prod", "Prod_", "%"]) {
      await expect(toLabel(other)).rejects.toEqual(refused("nodes.not_found"));
    }
    expect((await toLabel("Prod%")).commands).toMatchObject([{ nodeId: host.registered.nodeId }]);
  });

  test("another organisation's node can be sent nothing, as one that is nowhere", async () => {
    const nodeIds = ["0190a1b2-0000-7000-8000-000000000000"];
    await expect(
      on.org.nodes.sendCommand({ nodeIds, payload: PING, idempotencyKey: "x" }, on.org.headers),
    ).rejects.toEqual(refused("nodes.not_found"));
  });

  test("what is no command is refused before anything is queued", async () => {
    const session = await SessionUnderTest.open(await on.org.enroll("c6"));
    const garbage = { nodeIds: [session.host.registered.nodeId], payload: new Uint8Array([255]), idempotencyKey: "x" };
    await expect(on.org.nodes.sendCommand(garbage, on.org.headers)).rejects.toEqual(refused("api.malformed"));
    await using stream = await StreamUnderTest.open(session);
    stream.send({ case: "heartbeat", value: { sentAt: 1n, health: 1 } });
    await stream.next("heartbeatAnswer");
    expect(stream.count("command")).toBe(0);
  });

  test("a command of another node is not acknowledged by this one", async () => {
    const [mine, other] = [await on.org.enroll("c7"), await on.org.enroll("c8")];
    const { batchId } = await send(other);
    await using theirs = await StreamUnderTest.open(await SessionUnderTest.open(other));
    const command = await theirs.next("command");
    await using stream = await StreamUnderTest.open(await SessionUnderTest.open(mine));
    acknowledge(stream, command);
    await stream.next("ackReceived");
    expect((await on.org.nodes.listCommands({ batchId }, on.org.headers)).totals).toEqual({ sent: 1 });
  });
});

function verifies(host: HostUnderTest, { header, payload }: Command): boolean {
  const { commandId = "", idempotencyKey = "", actor = "", epoch = 0n, seq = 0n, notAfter = 0n } = header ?? {};
  const place = { epoch: Number(epoch), seq: Number(seq), notAfter: Number(notAfter), payloadSha256: hash(payload) };
  const own = { orgId: host.org.orgId, nodeId: host.registered.nodeId, commandId, idempotencyKey, actor };
  const [key] = keysFor(host.org.fleet.keySet, "command");
  const signature = header?.signature ?? new Uint8Array();
  return verifySignature(key?.key ?? new Uint8Array(), commandTuple({ ...own, ...place }), signature);
}
