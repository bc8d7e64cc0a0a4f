import { randomUUID } from "node:crypto";
import { rosterTuple, systemRandom } from "@gatehouse/core";
import { describeRoster, type KeySetDocument } from "@gatehouse/kit";
import type { CommandHeader } from "@gatehouse/wire";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { recoverServer } from "../src/index.ts";
import { openServerKeys, type ServerKeys } from "../src/keys/server-keys.ts";
import { signRevocation } from "../src/streams/sign-revocation.ts";
import { acknowledge, send } from "./commands-under-test.ts";
import { DATABASES, type TestDatabase } from "./databases.ts";
import {
  FleetUnderTest,
  type HostUnderTest,
  makePair,
  type OrgUnderTest,
  type Pair,
  refused,
  signWith,
} from "./fleet-under-test.ts";
import { apiKeyOf } from "./host-session.ts";
import { type SealedUnderTest, sealUnderTest } from "./seal-under-test.ts";
import { auditEntries } from "./stored-rows.ts";
import { helloOf, SessionUnderTest, StreamUnderTest } from "./stream-under-test.ts";

describe.each(DATABASES)("a server on $name in a new epoch", ({ open }) => {
  let database: TestDatabase;
  let fleet: FleetUnderTest;
  let org: OrgUnderTest;
  let hosts: readonly [HostUnderTest, HostUnderTest, HostUnderTest];
  let keysBefore: ServerKeys;
  const keys = new Map<HostUnderTest, string>();
  const sealed = new Map<string, SealedUnderTest>();
  const done: CommandHeader[] = [];

  beforeAll(async () => {
    database = await open();
    const first = await FleetUnderTest.open(database.location);
    const { directory, clock } = first;
    org = await first.createOrg("acme");
    hosts = [await org.enroll("n1"), await org.enroll("n2"), await org.enroll("n3")];
    for (const host of hosts) keys.set(host, await apiKeyOf(host));
    for (const name of ["kept", "gone", "claimed"]) {
      const credential = await sealUnderTest({ org, hosts }, name);
      sealed.set(name, credential);
      await org.credentials.putCredential({ credential }, org.headers);
    }
    keysBefore = await openServerKeys(directory, { now: () => clock.now(), randomBytes: (n) => systemRandom.bytes(n) });
    await using stream = await StreamUnderTest.open(await SessionUnderTest.open(hosts[1], keys.get(hosts[1])));
    done.push(await doNext(stream), await doNext(stream));
    await first.stop();
    await recoverServer({ directory, store: database.location }, { clock, random: systemRandom });
    fleet = await FleetUnderTest.open(database.location, { directory });
    Object.assign(org, { fleet });
  }, 60_000);

  afterAll(async () => {
    await fleet[Symbol.asyncDispose]();
    await database[Symbol.asyncDispose]();
  });

  const revocationOf = (name: string, of: HostUnderTest, by: ServerKeys = keysBefore) => {
    const ids = [sealed.get(name)?.credentialId ?? ""];
    return signRevocation({ orgId: org.orgId, nodeId: of.registered.nodeId, generation: 9, ids }, by);
  };
  const under = (keySet: KeySetDocument, ...revocations: readonly ReturnType<typeof revocationOf>[]) => [
    { keySet: JSON.stringify(keySet), revocations: [...revocations] },
  ];
  const sessions = new Map<HostUnderTest, Promise<SessionUnderTest>>();
  const tell = async (host: HostUnderTest, past: Parameters<typeof fleet.gateway.tellPast>[0]) => {
    const session = sessions.get(host) ?? SessionUnderTest.open(host, keys.get(host));
    sessions.set(host, session);
    return fleet.gateway.tellPast(past, await (await session).proofOf("TellPast"));
  };
  const names = async () =>
    (await org.credentials.listCredentials({}, org.headers)).credentials.map(({ name }) => name).toSorted();
  const quarantineOf = async ({ registered }: HostUnderTest) =>
    (await org.nodes.getNode({ node: registered.nodeId }, org.headers)).node?.quarantineReason;

  test("knows a node by the last command of the epoch before, unless that is before what it acknowledged then or since", async () => {
    const [host, [before, last]] = [hosts[1], done];
    const session = await SessionUnderTest.open(host, keys.get(host));
    const join = (lastCommand: CommandHeader | undefined) =>
      StreamUnderTest.open(session, { hello: helloOf(randomUUID(), lastCommand && { lastCommand }) });
    const judged = async (lastCommand: CommandHeader | undefined) => {
      await using stream = await join(lastCommand);
      await stream.next("accepted");
      return await quarantineOf(host);
    };
    const accept = () => org.nodes.acceptNode({ nodeId: host.registered.nodeId }, org.headers);
    expect(await judged(last)).toBe("");
    expect(await judged(before)).toBe("position_behind");
    await accept();
    expect(await judged(last)).toBe("");
    await using stream = await join(last);
    const next = await doNext(stream);
    expect(await judged(next)).toBe("");
    // It may have been given more in the epoch before than a server that was put back knows of.
    expect(await judged({ ...last, seq: (last?.seq ?? 0n) + 5n } as CommandHeader)).toBe("position_behind");
    await accept();
  });

  test("takes a credential back again that it took back before, by its own signature of then", async () => {
    const revocations = under(keysBefore.keySet, revocationOf("gone", hosts[0]));
    expect((await tell(hosts[0], { revocations, rosterVersion: 3n })).wantsRoster).toBe(false);
    expect(await names()).toEqual(["claimed", "kept"]);
    expect(await quarantineOf(hosts[0])).toBe("");
    await tell(hosts[0], { revocations });
    const entries = await auditEntries(database.location, org.orgId);
    expect(entries.filter(({ kind }) => kind === "credential.revoked")).toHaveLength(1);
  });

  test.each([
    ["another node's", () => under(keysBefore.keySet, revocationOf("claimed", hosts[0]))],
    [
      "one that it signed in this epoch",
      async () => under((await keysNow()).keySet, revocationOf("claimed", hosts[1], await keysNow())),
    ],
    ["one under a key set that is none of its own", () => under(strangeKeySet(), revocationOf("claimed", hosts[1]))],
    [
      "one of other ids than were signed",
      () => {
        const { credentialId = "" } = sealed.get("claimed") ?? {};
        return under(keysBefore.keySet, { ...revocationOf("gone", hosts[1]), ids: [credentialId] });
      },
    ],
  ])("takes nothing back for %s, and puts the node that said so in quarantine", async (_, past) => {
    await tell(hosts[1], { revocations: await past() });
    expect(await names()).toEqual(["claimed", "kept"]);
    expect(await quarantineOf(hosts[1])).toBe("revocation_unproven");
    await org.nodes.acceptNode({ nodeId: hosts[1].registered.nodeId }, org.headers);
  });

  test("looks into nothing that would take back what is gone or never was, however much a node shows of it", async () => {
    // A signature that is looked into would be found to be none.
    const unproven = { ...revocationOf("gone", hosts[1]), signature: new Uint8Array(64) };
    const shown = under(keysBefore.keySet, ...Array.from({ length: 256 }, () => unproven));
    await tell(hosts[1], { revocations: Array.from({ length: 16 }, () => shown).flat() });
    expect(await quarantineOf(hosts[1])).toBe("");
    expect(await names()).toEqual(["claimed", "kept"]);
  });

  test("takes no roster that nobody signed who may, and none of before; nobody is ended", async () => {
    const listed = hosts.slice(0, 2).map(({ rosterNode }) => rosterNode);
    const forged = rosterOf(listed, { ahead: 5, signer: makePair("ed25519") });
    await expect(tell(hosts[0], { roster: forged })).rejects.toEqual(refused("roster.refused"));
    fleet.clock.advance(-3_600_000);
    const earlier = rosterOf(listed, { ahead: 5 });
    fleet.clock.advance(3_600_000);
    await expect(tell(hosts[0], { roster: earlier })).rejects.toEqual(refused("roster.split"));
    await tell(hosts[0], { roster: rosterOf(listed, { ahead: -1 }) });
    expect((await org.org.getOrg({}, org.headers)).roster?.version).toBe(3n);
    expect((await org.nodes.listNodes({}, org.headers)).nodes).toHaveLength(3);
  });

  test("asks for a newer roster and takes it; who does not stand on it was ended since, and is again", async () => {
    expect((await tell(hosts[0], { rosterVersion: 7n })).wantsRoster).toBe(true);
    await tell(hosts[2], {});
    const roster = rosterOf(
      hosts.slice(0, 2).map(({ rosterNode }) => rosterNode),
      { ahead: 4 },
    );
    for (let turn = 0; turn < 2; turn += 1) {
      expect((await tell(hosts[0], { rosterVersion: 7n, roster })).wantsRoster).toBe(false);
    }
    expect((await org.org.getOrg({}, org.headers)).roster?.version).toBe(7n);
    const { nodes } = await org.nodes.listNodes({}, org.headers);
    expect(nodes.map(({ name }) => name)).toEqual(["n1", "n2"]);
    await expect(tell(hosts[2], {})).rejects.toEqual(refused("auth.refused"));
    const kinds = (await auditEntries(database.location, org.orgId)).map(({ kind }) => kind);
    expect(kinds.filter((kind) => kind === "roster.put_back" || kind === "node.revoked")).toEqual([
      "roster.put_back",
      "node.revoked",
    ]);
  });

  test("takes none that an operator's key signed: it may be decertified since, and could end every other node", async () => {
    const operator = makePair("ed25519");
    const signedBy = (signer: Pair, version: number, nodes: RosterNodes) => {
      const own = { orgId: org.orgId, version, issuedAt: fleet.clock.now(), nodes, operatorKeys: [operator.publicKey] };
      return { ...own, signer: signer.publicKey, signature: signWith(signer, rosterTuple(own)) };
    };
    const [first, second] = hosts.map(({ rosterNode }) => rosterNode);
    if (first === undefined || second === undefined) throw new Error("there are no hosts");
    const { version, issuedAt, ...certifying } = signedBy(org.orgKey, 8, [first, second]);
    const roster = { ...certifying, version: BigInt(version), issuedAt: BigInt(issuedAt), nodes: [first, second] };
    await org.org.putRoster({ roster }, org.headers);
    for (const ahead of [9, 12]) {
      const alone = JSON.stringify(describeRoster(signedBy(operator, ahead, [first])));
      await expect(tell(hosts[0], { rosterVersion: 12n, roster: alone })).rejects.toEqual(refused("roster.refused"));
    }
    expect((await org.org.getOrg({}, org.headers)).roster?.version).toBe(8n);
    expect((await org.nodes.listNodes({}, org.headers)).nodes.map(({ name }) => name)).toEqual(["n1", "n2"]);
  });

  test("believes nothing that leaked keys signed, and puts no node in quarantine for showing it; what the next ones sign counts", async () => {
    const { directory, clock } = fleet;
    const restart = async (areKeysLeaked: boolean) => {
      const before = await keysNow();
      await fleet.stop();
      await recoverServer({ directory, store: database.location, areKeysLeaked }, { clock, random: systemRandom });
      fleet = await FleetUnderTest.open(database.location, { directory });
      Object.assign(org, { fleet });
      sessions.clear();
      return before;
    };
    const leaked = await restart(true);
    for (const by of [keysBefore, leaked]) {
      await tell(hosts[0], { revocations: under(by.keySet, revocationOf("claimed", hosts[0], by)) });
    }
    expect(await names()).toEqual(["claimed", "kept"]);
    expect(await quarantineOf(hosts[0])).toBe("");
    const later = await restart(false);
    await tell(hosts[0], { revocations: under(leaked.keySet, revocationOf("kept", hosts[0], leaked)) });
    expect(await names()).toEqual(["claimed", "kept"]);
    await tell(hosts[0], { revocations: under(later.keySet, revocationOf("claimed", hosts[0], later)) });
    expect(await names()).toEqual(["kept"]);
  });

  /** A command that the second host is given, does and acknowledges. */
  async function doNext(stream: StreamUnderTest): Promise<CommandHeader> {
    await send(hosts[1]);
    const command = await stream.next("command");
    acknowledge(stream, command);
    await stream.next("ackReceived");
    if (command.header === undefined) throw new Error("a command without a header");
    return command.header;
  }

  function keysNow(): Promise<ServerKeys> {
    const { directory, clock } = fleet;
    return openServerKeys(directory, { now: () => clock.now(), randomBytes: (length) => systemRandom.bytes(length) });
  }

  function strangeKeySet(): KeySetDocument {
    return { ...keysBefore.keySet, issued_at: keysBefore.keySet.issued_at + 1 };
  }

  type RosterNodes = Parameters<OrgUnderTest["nextRoster"]>[0];

  /** A roster so many versions from the one that the server has. */
  function rosterOf(nodes: RosterNodes, { ahead, signer }: Parameters<OrgUnderTest["rosterAhead"]>[1]): string {
    return JSON.stringify(describeRoster(org.rosterAhead(nodes, { ahead, ...(signer && { signer }) })));
  }
});
