import { systemRandom } from "@gatehouse/core";
import { Role, SentCommand_State } from "@gatehouse/wire";
import { describe, expect, test } from "vitest";
import { sendCommand } from "../src/commands/send-command.ts";
import { signOut } from "../src/people/complete-sign-in.ts";
import { openSession } from "../src/people/open-session.ts";
import { connectStore } from "../src/store/open-store.ts";
import { PING } from "./commands-under-test.ts";
import { DATABASES } from "./databases.ts";
import { type HostUnderTest, refused } from "./fleet-under-test.ts";
import { orgOnDatabase } from "./org-on-database.ts";
import { SESSION } from "./people-under-test.ts";
import { auditEntries, storedRows } from "./stored-rows.ts";
import { helloOf, SessionUnderTest, StreamUnderTest } from "./stream-under-test.ts";

describe.each(DATABASES)("on $name", ({ open }) => {
  const on = orgOnDatabase(open);

  const keyOf = async (member: string, role = Role.OPERATOR) => {
    const made = await on.org.org.createApiKey({ label: "k", role, ttlMs: 0n, member }, on.org.headers);
    return { id: made.stored?.id ?? "", headers: { Authorization: `Bearer ${made.apiKey}` } };
  };
  /** Calls as a new operator of this name. */
  const join = async (member: string) => {
    await on.org.org.addMember({ name: member, role: Role.OPERATOR }, on.org.headers);
    return keyOf(member);
  };
  const ping = async (
    by: { readonly headers: Record<string, string> },
    { registered }: HostUnderTest,
    idempotencyKey: string,
  ) => {
    // Commands of one moment have no order among them.
    on.fleet.clock.advance(1);
    const asked = { nodeIds: [registered.nodeId], payload: PING, idempotencyKey };
    const { commands } = await on.org.nodes.sendCommand(asked, by);
    return commands[0] ?? expect.fail("no command");
  };
  const shown = async ({ commandId }: { readonly commandId: string }) =>
    (await on.org.nodes.listCommands({ commandId }, on.org.headers)).commands[0];
  const stateOf = async (command: { readonly commandId: string }) => (await shown(command))?.state;
  /** The keys of what a node is given until it hears the answer to a heartbeat. */
  const given = async (stream: StreamUnderTest) => {
    stream.send({ case: "heartbeat", value: { sentAt: 1n, health: 1 } });
    await stream.next("heartbeatAnswer");
    return stream.received.flatMap((message) =>
      message.case === "command" ? [message.value.header?.idempotencyKey] : [],
    );
  };

  test("a member whose commands a node never ends leaves places to others, in its hands and in its queue", async () => {
    const session = await SessionUnderTest.open(await on.org.enroll("p1"));
    const [eve, bob] = [await join("eve"), await join("bob")];
    const own = [];
    for (let at = 0; at < 49; at += 1) own.push(await ping(eve, session.host, `eve-${at}`));
    expect(own.map(({ state }) => state).indexOf(SentCommand_State.BUSY)).toBe(48);
    await ping(bob, session.host, "bob-0");
    await using stream = await StreamUnderTest.open(session);
    for (let at = 0; at < 7; at += 1) await stream.next("command");
    await ping(bob, session.host, "bob-1");
    await stream.next("command");
    const eves = Array.from({ length: 6 }, (_, at) => `eve-${at}`);
    expect(await given(stream)).toEqual([...eves, "bob-0", "bob-1"]);
  });

  test.each([
    ["removed", "member_removed", (name: string) => on.org.org.removeMember({ name }, on.org.headers)],
    [
      "a viewer",
      "role_changed",
      (name: string) => on.org.org.setMemberRole({ name, role: Role.VIEWER }, on.org.headers),
    ],
  ] as const)(
    "what a member commanded goes to no node once they are %s, who was away included",
    async (how, why, lower) => {
      const name = `m-${how.slice(-6)}`;
      const key = await join(name);
      const session = await SessionUnderTest.open(await on.org.enroll(name));
      const [waits, kept] = [await ping(key, session.host, "waits"), await ping(on.org.headers, session.host, "kept")];
      const away = await StreamUnderTest.open(session);
      const sent = await ping(key, session.host, "sent");
      for (let at = 0; at < 3; at += 1) await away.next("command");
      await away[Symbol.asyncDispose]();
      const late = await ping(key, session.host, "late");
      await lower(name);
      await using back = await StreamUnderTest.open(session, { hello: helloOf() });
      await back.next("command");
      expect(await given(back)).toEqual(["kept"]);
      expect(await stateOf(late)).toBe(SentCommand_State.FORBIDDEN);
      for (const one of [waits, sent]) expect(await stateOf(one)).toBe(SentCommand_State.OUTCOME_UNKNOWN);
      expect(await stateOf(kept)).toBe(SentCommand_State.SENT);
      const entries = await auditEntries(on.database.location, on.org.orgId);
      expect(entries).toContainEqual(
        expect.objectContaining({
          kind: "command.withdrawn",
          actor: "operator:ada",
          data: { command: late.commandId, kind: "ping", state: "forbidden", why },
        }),
      );
    },
  );

  test("who gives again what another one's place was refused for gives it in their own name", async () => {
    const session = await SessionUnderTest.open(await on.org.enroll("p3"));
    const [ivy, jan] = [await join("ivy"), await join("jan")];
    for (let at = 0; at < 48; at += 1) await ping(ivy, session.host, `ivy-${at}`);
    expect((await ping(ivy, session.host, "over")).state).toBe(SentCommand_State.BUSY);
    expect(await ping(jan, session.host, "over")).toMatchObject({
      state: SentCommand_State.QUEUED,
      actor: "operator:jan",
    });
  });

  test("what a key commanded goes to no node once it is revoked, and names who took it back; what its member's other key commanded goes", async () => {
    const session = await SessionUnderTest.open(await on.org.enroll("k1"));
    const [revoked, other] = [await join("kim"), await keyOf("kim")];
    const [late, before] = [await ping(revoked, session.host, "late"), await ping(other, session.host, "kept")];
    expect(late).toMatchObject({ authority: `key:${revoked.id}`, withdrawnBy: "", withdrawnWhy: "" });
    await on.org.org.revokeApiKey({ id: revoked.id }, on.org.headers);
    await using stream = await StreamUnderTest.open(session);
    await stream.next("command");
    expect(await given(stream)).toEqual(["kept"]);
    const withdrawn = { withdrawnBy: "operator:ada", withdrawnWhy: "key_revoked" };
    expect(await shown(late)).toMatchObject({ state: SentCommand_State.FORBIDDEN, ...withdrawn });
    expect(await shown(before)).toMatchObject({ state: SentCommand_State.SENT, withdrawnBy: "" });
    const data = { command: late.commandId, kind: "ping", state: "forbidden", why: "key_revoked" };
    const entry = { kind: "command.withdrawn", actor: "operator:ada", data };
    expect(await auditEntries(on.database.location, on.org.orgId)).toContainEqual(expect.objectContaining(entry));
    const events = await storedRows(on.database.location, on.org.orgId, "events");
    expect(events.filter((event) => JSON.stringify(event).includes(late.commandId))).toHaveLength(1);
    // Somebody else may order the same, in their own name.
    expect(await ping(on.org.headers, session.host, "late")).toMatchObject({
      state: SentCommand_State.QUEUED,
      actor: "operator:ada",
      withdrawnBy: "",
    });
  });

  test("what was commanded stays ordered when its key signs itself out", async () => {
    const { host } = await SessionUnderTest.open(await on.org.enroll("k2"));
    const key = await join("leo");
    const waits = await ping(key, host, "waits");
    await on.org.org.revokeApiKey({ id: key.id }, key);
    await expect(ping(key, host, "more")).rejects.toEqual(refused("auth.refused"));
    expect(await stateOf(waits)).toBe(SentCommand_State.QUEUED);
  });

  test("what was commanded in a browser goes to no node once somebody ends its session, and stays when it signs out", async () => {
    const { host } = await SessionUnderTest.open(await on.org.enroll("b1"));
    await join("mel");
    await using store = await connectStore(on.database.location, on.fleet.clock);
    const visitor = { browser: "Another program", address: "127.0.0.1" };
    const signIn = async () => {
      const { token } = await store.inOrg(on.org.orgId, async (tx) => {
        const member = (await tx.members.findByName("mel")) ?? expect.fail("no member");
        return openSession(tx, { member, role: "operator", by: "link" }, { visitor, random: systemRandom });
      });
      const headers = { Cookie: `${SESSION}=${token}`, Origin: on.fleet.server.url };
      return { headers };
    };
    const [left, ended] = [await signIn(), await signIn()];
    const [stays, goes] = [await ping(left, host, "stays"), await ping(ended, host, "goes")];
    const idOf = ({ authority }: { readonly authority: string }) => authority.replace("session:", "");
    await store.inOrg(on.org.orgId, (tx) => signOut(tx, { id: idOf(stays), member: "mel" }));
    await on.org.org.endSessions({ member: "mel", sessionId: idOf(goes) }, on.org.headers);
    for (const by of [left, ended]) await expect(ping(by, host, "more")).rejects.toEqual(refused("auth.refused"));
    expect(await stateOf(stays)).toBe(SentCommand_State.QUEUED);
    expect(await shown(goes)).toMatchObject({
      state: SentCommand_State.FORBIDDEN,
      withdrawnBy: "operator:ada",
      withdrawnWhy: "session_ended",
    });
  });

  test("a right that was taken while a call was let in orders nothing", async () => {
    const { host } = await SessionUnderTest.open(await on.org.enroll("r1"));
    const key = await join("nia");
    await using store = await connectStore(on.database.location, on.fleet.clock);
    const member = await store.inOrg(on.org.orgId, (tx) => tx.members.findByName("nia"));
    const by = { memberId: member?.id ?? "", authority: `key:${key.id}`, actor: "operator:nia" } as const;
    const targets = { nodeIds: [host.registered.nodeId] };
    const send = () =>
      store.inOrg(on.org.orgId, (tx) =>
        sendCommand(
          tx,
          { ...by, targets, payload: PING, kind: "ping", idempotencyKey: "r", ttlMs: 60_000 },
          systemRandom,
        ),
      );
    const before = await auditEntries(on.database.location, on.org.orgId);
    await on.org.org.setMemberRole({ name: "nia", role: Role.VIEWER }, on.org.headers);
    await expect(send()).rejects.toMatchObject({ code: "auth.forbidden" });
    await on.org.org.setMemberRole({ name: "nia", role: Role.OPERATOR }, on.org.headers);
    await on.org.org.revokeApiKey({ id: key.id }, on.org.headers);
    await expect(send()).rejects.toMatchObject({ code: "auth.refused" });
    const { commands } = await on.org.nodes.listCommands({ nodeId: host.registered.nodeId }, on.org.headers);
    expect(commands).toEqual([]);
    const since = (await auditEntries(on.database.location, on.org.orgId)).slice(before.length);
    expect(since.map(({ kind }) => kind)).not.toContain("command.issued");
  });

  test("a command that was not sent is cancelled, once, and under its key stays so; what was sent or ended is not", async () => {
    const session = await SessionUnderTest.open(await on.org.enroll("c1"));
    const [sent, unwanted, wanted] = [
      await ping(on.org.headers, session.host, "sent"),
      await ping(on.org.headers, session.host, "unwanted"),
      await ping(on.org.headers, session.host, "wanted"),
    ];
    const by = await join("oda");
    const cancel = ({ commandId }: { readonly commandId: string }, as = by) =>
      on.org.nodes.cancelCommand({ commandId }, as);
    expect((await cancel(unwanted)).command).toMatchObject({
      state: SentCommand_State.FORBIDDEN,
      withdrawnBy: "operator:oda",
      withdrawnWhy: "cancelled",
    });
    await expect(cancel(unwanted)).rejects.toEqual(refused("commands.ended"));
    expect(await ping(on.org.headers, session.host, "unwanted")).toMatchObject({ withdrawnWhy: "cancelled" });
    await using stream = await StreamUnderTest.open(session);
    for (let at = 0; at < 2; at += 1) await stream.next("command");
    expect(await given(stream)).toEqual(["sent", "wanted"]);
    const entries = (await auditEntries(on.database.location, on.org.orgId)).length;
    await expect(cancel(sent)).rejects.toEqual(refused("commands.sent"));
    await stream[Symbol.asyncDispose]();
    // It waits to be sent again: its node may have done it.
    await expect(cancel(sent)).rejects.toEqual(refused("commands.sent"));
    await expect(cancel({ commandId: "0197d000-0000-7000-8000-000000000001" })).rejects.toEqual(
      refused("commands.not_found"),
    );
    const viewer = await keyOf("oda", Role.VIEWER);
    const kept = await ping(by, session.host, "kept");
    await expect(cancel(kept, viewer)).rejects.toEqual(refused("auth.forbidden"));
    for (const one of [sent, wanted, kept]) expect(await shown(one)).toMatchObject({ withdrawnBy: "", finishedAt: 0n });
    const kinds = (await auditEntries(on.database.location, on.org.orgId)).slice(entries).map(({ kind }) => kind);
    expect(kinds).not.toContain("command.withdrawn");
  });

  test("commands are listed by the page, the newest first: of a node, and those alone that wait", async () => {
    const { host } = await SessionUnderTest.open(await on.org.enroll("l1"));
    const { nodeId } = host.registered;
    for (const key of ["a", "b", "c"]) await ping(on.org.headers, host, key);
    const list = (asked: object) => on.org.nodes.listCommands({ nodeId, ...asked }, on.org.headers);
    const { commands: all } = await list({});
    expect(all.map(({ createdAt }) => createdAt)).toEqual(
      all
        .map(({ createdAt }) => createdAt)
        .toSorted((a, b) => Number(a - b))
        .toReversed(),
    );
    await on.org.nodes.cancelCommand({ commandId: all[1]?.commandId ?? "" }, on.org.headers);
    const first = await list({ pageSize: 2 });
    const second = await list({ pageSize: 2, pageToken: first.nextPageToken });
    const ids = (commands: readonly { readonly commandId: string }[]) => commands.map(({ commandId }) => commandId);
    expect([...ids(first.commands), ...ids(second.commands)]).toEqual(ids(all));
    expect(second.nextPageToken).toBe("");
    expect(ids((await list({ openOnly: true })).commands)).toEqual([all[0]?.commandId, all[2]?.commandId]);
    const commandId = all[0]?.commandId ?? "";
    for (const asked of [{ waitMs: 1n }, { pageSize: -1 }, { pageSize: 1_001 }, { commandId }]) {
      await expect(list(asked)).rejects.toEqual(refused("api.malformed"));
    }
  });
});
