import { createClient } from "@connectrpc/connect";
import { systemClock } from "@gatehouse/core";
import { ScriptedBrowser } from "@gatehouse/testbed";
import { NodeAdminService, OrgAdminService, Role } from "@gatehouse/wire";
import { beforeAll, describe, expect, test } from "vitest";
import { connectStore } from "../src/store/open-store.ts";
import { DATABASES } from "./databases.ts";
import { refused } from "./fleet-under-test.ts";
import { orgOnDatabase } from "./org-on-database.ts";
import { PASSWORD, PeopleUnderTest } from "./people-under-test.ts";
import { auditEntries, storedRows } from "./stored-rows.ts";

describe.each(DATABASES)("on $name", ({ open }) => {
  const on = orgOnDatabase(open, { hasPasswords: true });
  let people: PeopleUnderTest;

  beforeAll(async () => {
    people = new PeopleUnderTest(on.fleet, on.org);
    // For whoever watches to be told at once that they are heard.
    await using store = await connectStore(on.database.location, systemClock);
    await store.inOrg(on.org.orgId, (tx) => tx.events.append([1, 2].map((at) => ({ kind: `test.${at}`, data: "{}" }))));
  });

  const keyOf = async (member: string) => {
    const made = await on.org.org.createApiKey({ label: "k", role: Role.OWNER, ttlMs: 0n, member }, on.org.headers);
    return { id: made.stored?.id ?? "", headers: { Authorization: `Bearer ${made.apiKey}` } };
  };
  /** A stream that is open, and how it ends. */
  const watch = (options: { headers: Record<string, string> }) => {
    const opened = Promise.withResolvers<void>();
    const ended = (async () => {
      const events = createClient(NodeAdminService, on.fleet.transport).watchEvents({ cursor: 1n }, options);
      for await (const _ of events) opened.resolve();
    })();
    return {
      opened: opened.promise,
      ended: ended.then(
        () => "without a word",
        (failure: unknown) => failure,
      ),
    };
  };
  /** A machine that waits; it was allowed by whoever is signed in. */
  test("a member who is removed takes everything along at once: keys, browsers, password, link, waiting machines, open streams", async () => {
    const browser = await people.addMember("bob", Role.OWNER);
    const key = await keyOf("bob");
    const machine = await people.approveMachine(browser);
    const streams = [watch(key), watch(people.session(browser))];
    await Promise.all(streams.map(({ opened }) => opened));
    await on.org.org.addMember({ name: "ida", role: Role.OWNER }, on.org.headers);
    const code = await people.invite("ida");

    await on.org.org.removeMember({ name: "bob" }, on.org.headers);
    await on.org.org.removeMember({ name: "ida" }, on.org.headers);
    for (const { ended } of streams) expect(await ended).toEqual(refused("auth.refused"));
    const client = createClient(OrgAdminService, on.fleet.transport);
    for (const own of [{ headers: key.headers }, people.session(browser)]) {
      await expect(client.addMember({ name: "eve", role: Role.OWNER }, own)).rejects.toEqual(refused("auth.refused"));
    }
    expect((await browser.visit(people.at("/account"))).url).toBe(people.at("/sign-in"));
    expect(await people.fetchKey(machine)).toEqual({ error: "expired_token" });
    const form = { org: "acme", name: "bob", password: PASSWORD };
    expect((await new ScriptedBrowser().visit(people.at("/sign-in"), { form })).status).toBe(401);
    const link = { code, next: PASSWORD, again: PASSWORD };
    expect((await new ScriptedBrowser().visit(people.at("/join"), { form: link })).status).toBe(401);
    for (const table of ["passwords", "invitations", "member_sessions", "device_grants"] as const) {
      expect(await storedRows(on.database.location, on.org.orgId, table), table).toEqual([]);
    }
    expect((await on.org.org.listMembers({}, on.org.headers)).members.map(({ name }) => name)).toEqual(["ada"]);
    // Who comes under the same name later begins with nothing.
    await on.org.org.addMember({ name: "bob", role: Role.OWNER }, on.org.headers);
    expect((await new ScriptedBrowser().visit(people.at("/sign-in"), { form })).status).toBe(401);
    await expect(client.getOrg({}, { headers: key.headers })).rejects.toEqual(refused("auth.refused"));
  });

  test("what a member allowed and no machine fetched is void once their sessions are ended", async () => {
    const machine = await people.approveMachine(await people.addMember("sven", Role.OWNER));
    const other = await people.approveMachine(await people.addMember("tess"));
    await on.org.org.endSessions({ member: "sven" }, on.org.headers);
    const before = (await storedRows(on.database.location, on.org.orgId, "api_keys")).length;
    expect(await people.fetchKey(machine)).toEqual({ error: "expired_token" });
    expect(await storedRows(on.database.location, on.org.orgId, "api_keys")).toHaveLength(before);
    expect(await people.fetchKey(other)).toMatchObject({ member: "tess" });
    for (const name of ["sven", "tess"]) await on.org.org.removeMember({ name }, on.org.headers);
  });

  test("a stream ends with the key that opened it, and with the role that it needs", async () => {
    await on.org.org.addMember({ name: "cem", role: Role.OWNER }, on.org.headers);
    const [revoked, kept] = [await keyOf("cem"), await keyOf("cem")];
    const streams = [watch(revoked), watch(kept)] as const;
    await Promise.all(streams.map(({ opened }) => opened));
    await on.org.org.revokeApiKey({ id: revoked.id }, on.org.headers);
    expect(await streams[0].ended).toEqual(refused("auth.refused"));
    await on.org.org.removeMember({ name: "cem" }, on.org.headers);
    expect(await streams[1].ended).toEqual(refused("auth.refused"));
  });

  test("one sees and ends one's own sessions; an admin those of others who may no more, which is on record", async () => {
    const browsers = new Map<string, ScriptedBrowser>();
    for (const [name, role] of [
      ["olga", Role.OWNER],
      ["adam", Role.ADMIN],
      ["vera", Role.VIEWER],
    ] as const) {
      browsers.set(name, await people.addMember(name, role));
    }
    const as = (name: string) => people.session(browsers.get(name) ?? new ScriptedBrowser());
    const client = createClient(OrgAdminService, on.fleet.transport);
    const list = async (by: string, member = "") => (await client.listSessions({ member }, as(by))).sessions;
    expect(await list("vera")).toMatchObject([{ member: "vera", address: "127.0.0.1", browser: "Another program" }]);
    expect(await list("adam", "olga")).toMatchObject([{ member: "olga" }]);
    const last = async () => (await auditEntries(on.database.location, on.org.orgId)).at(-1);
    expect(await last()).toMatchObject({ kind: "sessions.listed", actor: "operator:adam", data: { member: "olga" } });
    await expect(list("vera", "adam")).rejects.toEqual(refused("auth.forbidden"));
    await expect(list("adam", "nobody")).rejects.toEqual(refused("members.not_found"));

    const [ofOlga, ofVera] = [await list("adam", "olga"), await list("vera")];
    const end = (by: string, member: string, sessionId = "") => client.endSessions({ member, sessionId }, as(by));
    await expect(end("vera", "olga")).rejects.toEqual(refused("auth.forbidden"));
    await expect(end("adam", "olga")).rejects.toEqual(refused("auth.forbidden"));
    await expect(end("vera", "", ofOlga[0]?.id)).rejects.toEqual(refused("sessions.not_found"));
    await expect(end("adam", "vera", ofOlga[0]?.id)).rejects.toEqual(refused("sessions.not_found"));
    expect(await list("olga")).toHaveLength(1);
    const stream = watch(as("vera"));
    await stream.opened;
    expect(await end("adam", "vera", ofVera[0]?.id)).toMatchObject({ ended: 1 });
    expect(await last()).toMatchObject({ kind: "sessions.ended", data: { member: "vera", count: 1 } });
    expect(await stream.ended).toEqual(refused("auth.refused"));
    await expect(list("vera")).rejects.toEqual(refused("auth.refused"));
  });

  test("the account page ends one's own sessions alone, one of them or all the others", async () => {
    const own = await people.addMember("mia");
    const others = [new ScriptedBrowser(), new ScriptedBrowser(), new ScriptedBrowser()] as const;
    const headers = { "user-agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0" };
    const form = { org: "acme", name: "mia", password: PASSWORD };
    for (const other of others) await other.visit(people.at("/sign-in"), { form, headers });
    const shown = (await own.visit(people.at("/account"))).text;
    expect(shown.match(/Firefox on Linux<\/strong>/g)).toHaveLength(3);
    const isIn = async (browser: ScriptedBrowser) =>
      (await browser.visit(people.at("/account"))).url === people.at("/account");
    const states = () => Promise.all([own, ...others].map(isIn));
    const { sessions } = await on.org.org.listSessions({ member: "mia" }, on.org.headers);
    const { sessions: foreign } = await on.org.org.listSessions({ member: "olga" }, on.org.headers);
    const end = (session: string) => own.visit(people.at("/account/sessions/end"), { form: { session } });
    expect((await end(foreign[0]?.id ?? "")).status).toBe(404);
    expect((await end("")).status).toBe(404);
    expect(await states()).toEqual([true, true, true, true]);
    await end(sessions.find(({ browser }) => browser === "Firefox on Linux")?.id ?? "");
    expect((await states()).filter(Boolean)).toHaveLength(3);
    expect((await end("others")).text).toContain("It is signed out.");
    expect(await states()).toEqual([true, false, false, false]);
    expect((await on.org.org.listSessions({ member: "olga" }, on.org.headers)).sessions).toHaveLength(1);
  });
});
