import { Role, SentCommand_State } from "@gatehouse/wire";
import { describe, expect, test } from "vitest";
import { PING } from "./commands-under-test.ts";
import { DATABASES } from "./databases.ts";
import type { HostUnderTest } from "./fleet-under-test.ts";
import { orgOnDatabase } from "./org-on-database.ts";
import { auditEntries } from "./stored-rows.ts";
import { helloOf, SessionUnderTest, StreamUnderTest } from "./stream-under-test.ts";

describe.each(DATABASES)("on $name", ({ open }) => {
  const on = orgOnDatabase(open);

  /** Calls as a new operator of this name. */
  const join = async (member: string) => {
    await on.org.org.addMember({ name: member, role: Role.OPERATOR }, on.org.headers);
    const made = await on.org.org.createApiKey({ label: "k", role: Role.OPERATOR, ttlMs: 0n, member }, on.org.headers);
    return { headers: { Authorization: `Bearer ${made.apiKey}` } };
  };
  const ping = async (by: typeof on.org.headers, { registered }: HostUnderTest, idempotencyKey: string) => {
    // Commands of one moment have no order among them.
    on.fleet.clock.advance(1);
    const asked = { nodeIds: [registered.nodeId], payload: PING, idempotencyKey };
    const { commands } = await on.org.nodes.sendCommand(asked, by);
    return commands[0] ?? expect.fail("no command");
  };
  const stateOf = async ({ commandId }: { readonly commandId: string }) =>
    (await on.org.nodes.listCommands({ commandId }, on.org.headers)).commands[0]?.state;
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
    ["removed", (name: string) => on.org.org.removeMember({ name }, on.org.headers)],
    ["a viewer", (name: string) => on.org.org.setMemberRole({ name, role: Role.VIEWER }, on.org.headers)],
  ] as const)("what a member commanded goes to no node once they are %s, who was away included", async (how, lower) => {
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
        kind: "command.refused",
        actor: "server",
        data: { command: late.commandId, kind: "ping", state: "forbidden" },
      }),
    );
  });

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
});
