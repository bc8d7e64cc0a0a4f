import { randomUUID } from "node:crypto";
import { canonicalJson, systemRandom } from "@gatehouse/core";
import { Ack_Status, Role, SentCommand_State } from "@gatehouse/wire";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { BusMessage } from "../src/bus/bus.ts";
import { acknowledgeCommands } from "../src/commands/acknowledge-commands.ts";
import { withdrawCommands } from "../src/commands/end-command.ts";
import { expireCommands } from "../src/commands/expire-commands.ts";
import { type CommandTargets, sendCommand } from "../src/commands/send-command.ts";
import { type CommandKeys, takeCommands } from "../src/commands/take-commands.ts";
import { acceptNode } from "../src/nodes/accept-node.ts";
import { retireNode } from "../src/nodes/retire-node.ts";
import { removeMember, setMemberRole } from "../src/orgs/change-members.ts";
import { revokeMemberKey } from "../src/orgs/member-keys.ts";
import { putPolicy } from "../src/policies/change-policy.ts";
import { connectStore } from "../src/store/open-store.ts";
import type { OrgTransaction } from "../src/store/org-transaction.ts";
import type { Store } from "../src/store/store.ts";
import type { OwnStream } from "../src/streams/own-stream.ts";
import { acknowledge, PING } from "./commands-under-test.ts";
import { DATABASES } from "./databases.ts";
import { orgOnDatabase } from "./org-on-database.ts";
import { auditEntries } from "./stored-rows.ts";
import { SessionUnderTest, StreamUnderTest } from "./stream-under-test.ts";
import { waitsForLock } from "./waits-for-lock.ts";

const CANCELLED = { by: "operator:ada", why: "cancelled" } as const;
const REVOKED = { by: "operator:ada", why: "key_revoked" } as const;
/** Signs nothing: what is taken here goes to no node. */
const KEYS = {
  keySet: { epoch: 1 },
  working: { command: { id: "k", key: { sign: () => new Uint8Array(64) } } },
} as unknown as CommandKeys;

describe.each(DATABASES)("on $name", ({ open }) => {
  const on = orgOnDatabase(open);
  const stack = new AsyncDisposableStack();
  /** Beside the server's: what is done in it wakes nobody there. */
  let store: Store;
  beforeAll(async () => {
    store = stack.use(await connectStore(on.database.location, on.fleet.clock));
  });
  afterAll(() => stack.disposeAsync());

  const inOrg = <T>(work: (tx: OrgTransaction) => Promise<T>) => store.inOrg(on.org.orgId, work);
  const keyOf = async (member: string) => {
    await on.org.org.addMember({ name: member, role: Role.OPERATOR }, on.org.headers);
    const asked = { label: "k", role: Role.OPERATOR, ttlMs: 0n, member };
    const made = await on.org.org.createApiKey(asked, on.org.headers);
    return { id: made.stored?.id ?? "", headers: { Authorization: `Bearer ${made.apiKey}` } };
  };
  const ping = async (nodeId: string, key: string, by = on.org.headers) => {
    const asked = { nodeIds: [nodeId], payload: PING, idempotencyKey: key, ttlMs: 60_000n };
    return (await on.org.nodes.sendCommand(asked, by)).commands[0] ?? expect.fail("no command");
  };
  const shown = async ({ commandId }: { readonly commandId: string }) =>
    (await on.org.nodes.listCommands({ commandId }, on.org.headers)).commands[0];
  /** What the log says of a command, in order. */
  const said = async ({ commandId }: { readonly commandId: string }) =>
    (await auditEntries(on.database.location, on.org.orgId)).flatMap((entry) =>
      JSON.stringify(entry).includes(commandId) ? [entry.kind] : [],
    );
  const ownStream = (nodeId: string) =>
    inOrg(async (tx): Promise<OwnStream> => {
      const [node, session] = [await tx.nodes.find(nodeId), await tx.sessions.find(nodeId)];
      return { nodeId, streamId: node?.streamId ?? "", fence: session?.fence ?? 0 };
    });
  /** Of a new node, to which the server sends nothing: it knows of no such stream. */
  const streamOf = async (name: string) => {
    const { host } = await SessionUnderTest.open(await on.org.enroll(name));
    const { nodeId } = host.registered;
    await inOrg((tx) => tx.nodes.update(nodeId, { streamId: name }));
    return ownStream(nodeId);
  };
  /** Does one thing in a transaction, and begins the other before it ends: that waits, where many write at once. */
  const during = async <A, B>(first: (tx: OrgTransaction) => Promise<A>, second: () => Promise<B>) => {
    const { done, begun } = await inOrg(async (tx) => {
      const done = await first(tx);
      const begun = second();
      await Promise.race<unknown>([begun, waitsForLock(store)]);
      return { done, begun };
    });
    return { first: done, second: await begun };
  };

  test("what is taken back while its node is about to be sent it is not sent, and what waits behind it is", async () => {
    const own = await streamOf("t1");
    const { nodeId } = own;
    const sent: string[] = [];
    for (let at = 0; at < 8; at += 1) sent.push((await ping(nodeId, `t1-${at}`)).commandId);
    const take = async () => (await inOrg((tx) => takeCommands(tx, [own], KEYS)))[0] ?? [];
    const commandIds = sent.toSorted().slice(0, 3);
    const { second: taken } = await during((tx) => withdrawCommands(tx, { commandIds }, CANCELLED), take);
    // As the stream does that was woken by whoever took them back.
    const signed = [...taken, ...(await take())];
    expect(signed.map(({ command }) => command.id)).toEqual(sent.toSorted().slice(3));
    expect(signed.map(({ seq }) => seq)).toEqual([1, 2, 3, 4, 5]);
  });

  test("two calls under one key at once give one command to each node", async () => {
    const nodeIds: string[] = [];
    for (const name of ["g1", "g2"]) nodeIds.push((await on.org.enroll(name)).registered.nodeId);
    const key = await keyOf("gil");
    const memberId = (await inOrg((tx) => tx.members.findByName("gil")))?.id ?? "";
    const by = { memberId, authority: `key:${key.id}`, actor: "operator:gil" } as const;
    const give = (targets: CommandTargets) => (tx: OrgTransaction) =>
      sendCommand(
        tx,
        { ...by, targets, payload: PING, kind: "ping", idempotencyKey: "g", ttlMs: 60_000 },
        systemRandom,
      );
    const { first, second } = await during(give({ nodeIds }), () => inOrg(give({ nodeIds: nodeIds.toReversed() })));
    expect(second.batchId).toBe(first.batchId);
    expect(second.commands.map(({ id }) => id).sort()).toEqual(first.commands.map(({ id }) => id).sort());
    for (const { id } of first.commands) expect(await said({ commandId: id })).toEqual(["command.issued"]);
  });

  test("a key is revoked while its command ends, and neither of the two is begun again", async () => {
    const session = await SessionUnderTest.open(await on.org.enroll("t2"));
    const key = await keyOf("pat");
    await using stream = await StreamUnderTest.open(session);
    const sent = await ping(session.host.registered.nodeId, "ends", key);
    await stream.next("command");
    const own = await ownStream(session.host.registered.nodeId);
    const member = await inOrg((tx) => tx.members.findByName("ada"));
    const ada = { orgId: on.org.orgId, memberId: member?.id ?? "", member: "ada", role: "owner" } as const;
    const caller = { ...ada, authority: "key:another", expiresAt: 0 } as const;
    let begun = 0;
    const once = <T>(work: (tx: OrgTransaction) => Promise<T>) => {
      return (tx: OrgTransaction) => {
        begun += 1;
        return work(tx);
      };
    };
    const { first } = await during(
      once((tx) => acknowledgeCommands(tx, [ackOf(own, sent)])),
      () => inOrg(once((tx) => revokeMemberKey(tx, { caller, id: key.id }))),
    );
    expect([first[0]?.done, begun]).toEqual(["ended", 2]);
    expect(await shown(sent)).toMatchObject({ state: SentCommand_State.OK, withdrawnBy: "" });
    expect(await said(sent)).toEqual(["command.issued", "command.finished"]);
  });

  test("what a node did before it heard that it was taken back is known as done, and as taken back", async () => {
    const session = await SessionUnderTest.open(await on.org.enroll("t3"));
    const { nodeId } = session.host.registered;
    await using stream = await StreamUnderTest.open(session);
    const sent = await ping(nodeId, "t3");
    const command = await stream.next("command");
    const own = await ownStream(nodeId);
    const { second } = await during(
      (tx) => withdrawCommands(tx, { commandIds: [sent.commandId] }, REVOKED),
      () => inOrg((tx) => acknowledgeCommands(tx, [{ ...ackOf(own, sent), state: "outcome_unknown" }])),
    );
    expect(second).toEqual([{ done: "known" }]);
    expect(await shown(sent)).toMatchObject({ state: SentCommand_State.OUTCOME_UNKNOWN, withdrawnWhy: "key_revoked" });
    acknowledge(stream, command, { message: "done" });
    expect((await stream.next("ackReceived")).commandId).toBe(sent.commandId);
    const done = { state: SentCommand_State.OK, message: "done", withdrawnBy: "operator:ada" };
    expect(await shown(sent)).toMatchObject(done);
    acknowledge(stream, command, { message: "again" });
    await stream.next("ackReceived");
    expect(await shown(sent)).toMatchObject(done);
    expect(await said(sent)).toEqual(["command.issued", "command.withdrawn", "command.finished"]);
  });

  test("what a node did that was sent before the server was put back is known as done, and what was not sent is not", async () => {
    const session = await SessionUnderTest.open(await on.org.enroll("t6"));
    const { nodeId } = session.host.registered;
    const [sent, unsent] = [await ping(nodeId, "t6-sent"), await ping(nodeId, "t6-unsent")];
    await inOrg(async (tx) => {
      await withdrawCommands(tx, { commandIds: [sent.commandId], wereSent: true }, REVOKED);
      await withdrawCommands(tx, { commandIds: [unsent.commandId] }, REVOKED);
    });
    await using stream = await StreamUnderTest.open(session);
    for (const { commandId } of [sent, unsent]) {
      stream.send({ case: "ack", value: { commandId, status: Ack_Status.OK } });
      await stream.next("ackReceived");
    }
    expect(await shown(sent)).toMatchObject({ state: SentCommand_State.OK, withdrawnWhy: "key_revoked" });
    expect(await shown(unsent)).toMatchObject({ state: SentCommand_State.FORBIDDEN, withdrawnWhy: "key_revoked" });
  });

  test("what is taken back as its time ends has one end", async () => {
    const { host } = await SessionUnderTest.open(await on.org.enroll("t4"));
    const sent = await ping(host.registered.nodeId, "t4");
    await during(
      (tx) => withdrawCommands(tx, sent, CANCELLED),
      () => {
        on.fleet.clock.advance(61_000);
        return inOrg(expireCommands);
      },
    );
    expect(await shown(sent)).toMatchObject({ state: SentCommand_State.FORBIDDEN, withdrawnWhy: "cancelled" });
    expect(await said(sent)).toEqual(["command.issued", "command.withdrawn"]);
  });

  test("whoever waits for commands is woken when a right is taken, once it is; and not by what is undone", async () => {
    const { registered } = await on.org.enroll("w1");
    const { nodeId } = registered;
    const [key, ada] = [await keyOf("wyn"), await inOrg((tx) => tx.members.findByName("ada"))];
    const { orgId } = on.org;
    const owner = { orgId, memberId: ada?.id ?? "", member: "ada", role: "owner" } as const;
    const caller = { ...owner, authority: "key:another", expiresAt: 0 } as const;
    const [actor, name] = ["operator:ada", "wyn"];
    const takings = [
      (tx: OrgTransaction) => setMemberRole(tx, { actor, name, role: "viewer" }),
      (tx: OrgTransaction) => revokeMemberKey(tx, { caller, id: key.id }),
      (tx: OrgTransaction) => removeMember(tx, { actor, name }),
      (tx: OrgTransaction) => retireNode(tx, { actor, nodeId, reason: "revoked" }),
    ];
    const heard: BusMessage[] = [];
    using _ = store.announceTo({ publish: (message) => void heard.push(message) });
    for (const [at, take] of takings.entries()) {
      const { commandId } = await ping(nodeId, `w1-${at}`);
      // Of the member's, whatever they may at this moment.
      await inOrg((tx) => tx.commands.update(commandId, { actor: "operator:wyn", authority: `key:${key.id}` }));
      const undone = inOrg(async (tx) => {
        await take(tx);
        throw new Error("undone");
      });
      await expect(undone).rejects.toThrow("undone");
      expect(heard.splice(0)).toEqual([]);
      await inOrg<unknown>(take);
      expect(heard.splice(0)).toEqual([
        { kind: "commands", orgId, nodeId },
        { kind: "events", orgId },
      ]);
    }
  });

  test.each([
    ["whose time is over", expireCommands],
    [
      "that a node had when it lost its journal",
      (tx: OrgTransaction, nodeId: string) => acceptNode(tx, { nodeId, actor: "operator:ada" }),
    ],
  ] as const)(
    "commands %s are all held before the log is, so that whoever takes one back waits for nobody",
    async (how, end) => {
      const { host } = await SessionUnderTest.open(await on.org.enroll(`t5-${how.length}`));
      const { nodeId } = host.registered;
      const sent: string[] = [];
      for (const key of ["a", "b", "c"]) sent.push((await ping(nodeId, key)).commandId);
      sent.sort();
      await inOrg(async (tx) => {
        for (const [at, id] of sent.entries()) await tx.commands.update(id, { epoch: 1, seq: at + 1 });
      });
      on.fleet.clock.advance(2 * 86_400_000);
      let begun = 0;
      const once = <T>(work: (tx: OrgTransaction) => Promise<T>) =>
        inOrg((tx) => {
          begun += 1;
          return work(tx);
        });
      const commandIds = sent.slice(2);
      const { both } = await inOrg(async (tx) => {
        await tx.commands.hold(sent.slice(1, 2));
        const ending = once((other): Promise<unknown> => end(other, nodeId));
        await Promise.race<unknown>([ending, waitsForLock(store)]);
        const withdrawing = once((other) => withdrawCommands(other, { commandIds }, CANCELLED));
        await Promise.race<unknown>([withdrawing, waitsForLock(store, 2)]);
        return { both: Promise.all([ending, withdrawing]) };
      });
      await both;
      expect(begun).toBe(2);
      const own = await Promise.all(sent.map((commandId) => said({ commandId })));
      expect(own.map(({ length }) => length)).toEqual([2, 2, 2]);
    },
  );

  test("nodes that are served together are each given their own, in their own order, and end nobody else's", async () => {
    const [ann, ben, gone] = [await streamOf("m1"), await streamOf("m2"), await streamOf("m3")];
    for (const { nodeId } of [ann, ann, ben, gone]) await ping(nodeId, randomUUID());
    const streams = [ann, { ...gone, streamId: "an earlier one" }, ben];
    const [ofAnn, ofGone, ofBen] = await inOrg((tx) => takeCommands(tx, streams, KEYS));
    expect([ofAnn, ofBen].map((one) => one?.map(({ command, seq }) => [command.nodeId, seq]))).toEqual([
      [
        [ann.nodeId, 1],
        [ann.nodeId, 2],
      ],
      [[ben.nodeId, 1]],
    ]);
    expect(ofGone).toBeUndefined();
    const [first, second] = [ofAnn?.[0]?.command.id ?? "", ofAnn?.[1]?.command.id ?? ""];
    const words = [
      [ann, first],
      [ben, second],
      [{ ...ann, fence: 0 }, second],
      [ann, first],
    ] as const;
    const acks = words.map(([stream, commandId]) => ackOf(stream, { commandId }));
    const done = await inOrg((tx) => acknowledgeCommands(tx, acks));
    expect(done.map((one) => one.done)).toEqual(["ended", "unknown", "fenced", "known"]);
    expect(await said({ commandId: first })).toEqual(["command.issued", "command.finished"]);
    expect(await said({ commandId: second })).toEqual(["command.issued"]);
    const nodes = await inOrg((tx) => tx.nodes.findAll([ann, ben, gone].map(({ nodeId }) => nodeId)));
    const places = nodes.map(({ name, commandSeq, acknowledgedSeq }) => [name, [commandSeq, acknowledgedSeq]]);
    expect(Object.fromEntries(places)).toEqual({ m1: [2, 1], m2: [1, 0], m3: [0, 0] });
  });

  test("nodes whose commands are too much for one transaction are served one after the other, each woken to ask again", async () => {
    const [ann, ben] = [await streamOf("l1"), await streamOf("l2")];
    const key = await keyOf("lou");
    const memberId = (await inOrg((tx) => tx.members.findByName("lou")))?.id ?? "";
    const by = { memberId, authority: `key:${key.id}`, actor: "operator:lou" } as const;
    const large = { payload: new Uint8Array(3 * 1_048_576), kind: "ping", idempotencyKey: "large", ttlMs: 60_000 };
    const targets = { nodeIds: [ann.nodeId, ben.nodeId] };
    await inOrg((tx) => sendCommand(tx, { ...by, ...large, targets }, systemRandom));
    const heard: BusMessage[] = [];
    using _ = store.announceTo({ publish: (message) => void heard.push(message) });
    const take = async (...streams: readonly OwnStream[]) =>
      (await inOrg((tx) => takeCommands(tx, streams, KEYS))).map((taken) => taken?.length);
    expect(await take(ann, ben)).toEqual([1, 0]);
    expect(heard.splice(0)).toEqual([{ kind: "commands", orgId: on.org.orgId, nodeId: ben.nodeId }]);
    expect(await take(ann, ben)).toEqual([0, 1]);
    expect(heard.splice(0)).toEqual([]);
  });

  test("commands that are given, sent, answered, ended and taken back at once wait for each other in no circle", async () => {
    const streams: OwnStream[] = [];
    for (const name of ["s1", "s2", "s3"]) {
      const session = await SessionUnderTest.open(await on.org.enroll(name));
      await stack.use(await StreamUnderTest.open(session)).next("accepted");
      streams.push(await ownStream(session.host.registered.nodeId));
    }
    const nodeIds = streams.map(({ nodeId }) => nodeId);
    const key = await keyOf("sam");
    const memberId = (await inOrg((tx) => tx.members.findByName("sam")))?.id ?? "";
    const by = { memberId, authority: `key:${key.id}`, actor: "operator:sam" } as const;
    const [calls, begun] = [new Map<string, number>(), new Map<string, number>()];
    const count = (of: Map<string, number>, name: string) => of.set(name, (of.get(name) ?? 0) + 1);
    const does = (name: string, work: (tx: OrgTransaction, turn: number) => Promise<unknown>) => async () => {
      for (let turn = 0; performance.now() < until; turn += 1) {
        count(calls, name);
        await inOrg((tx) => {
          count(begun, name);
          return work(tx, turn);
        });
      }
    };
    const give = (name: string) => (tx: OrgTransaction, turn: number) => {
      const asked = {
        payload: PING,
        kind: "ping",
        idempotencyKey: `${name}-${turn}`,
        ttlMs: turn % 3 === 0 ? 60_000 : 0,
      };
      const targets = { nodeIds: turn % 2 === 0 ? nodeIds : nodeIds.toReversed() };
      return sendCommand(tx, { ...by, ...asked, targets }, systemRandom);
    };
    const answer = (streams: readonly OwnStream[]) => async (tx: OrgTransaction) => {
      const open = await tx.commands.listOpen(streams.map(({ nodeId }) => nodeId));
      const acks = streams.flatMap((own) => {
        const sent = open.find(({ nodeId, state }) => nodeId === own.nodeId && state === "sent");
        return sent === undefined ? [] : [ackOf(own, { commandId: sent.id })];
      });
      await acknowledgeCommands(tx, acks);
    };
    const take = (streams: readonly OwnStream[]) => (tx: OrgTransaction) => takeCommands(tx, streams, KEYS);
    // SQLite has one writer.
    const until = performance.now() + (store.dialect.name === "postgres" ? 1_000 : 100);
    await Promise.all([
      ...["a", "b", "c"].map((name) => does("give", give(name))()),
      does("withdraw by right", (tx) => withdrawCommands(tx, { authorities: [by.authority], ...by }, REVOKED))(),
      does("withdraw of node", (tx) => withdrawCommands(tx, { nodeId: nodeIds[0] ?? "" }, CANCELLED))(),
      does("expire", expireCommands)(),
      does("change a policy", (tx, turn) => putPolicy(tx, policyOf(turn), systemRandom))(),
      ...[streams, streams.toReversed(), streams.slice(1)].flatMap((some) => [
        does("take", take(some))(),
        does("answer", answer(some))(),
      ]),
    ]);
    expect(calls.size).toBe(7);
    expect(begun).toEqual(calls);
  });
});

/** A policy that holds every node, another one each turn. */
function policyOf(turn: number) {
  const document = canonicalJson({ mode: "permissive", rules: [{ action: "deny", hosts: [`h${turn}.example.com`] }] });
  return { actor: "operator:ada", name: "raced", document, expectedVersion: undefined };
}

/** A node's word, on its stream, that it did a command. */
function ackOf(stream: OwnStream, { commandId }: { readonly commandId: string }) {
  return { stream, commandId, state: "ok", message: "", payload: new Uint8Array(), isOfFirstSending: true } as const;
}
