import { type Roster, rosterTuple } from "@gatehouse/core";
import { type SignedRoster, withJoin, writeRosterMessage } from "@gatehouse/kit";
import { beforeAll, describe, expect, test } from "vitest";
import { DATABASES } from "./databases.ts";
import { HostUnderTest, makePair, refused, signWith } from "./fleet-under-test.ts";
import { apiKeyOf } from "./host-session.ts";
import { orgOnDatabase } from "./org-on-database.ts";
import { auditEntries } from "./stored-rows.ts";

describe.each(DATABASES)("a server on $name that is shown a roster which joins two", ({ open }) => {
  const on = orgOnDatabase(open);
  let hosts: readonly [HostUnderTest, HostUnderTest];
  /** What the server has, and one that was signed apart from it. */
  let mine: SignedRoster;
  let other: SignedRoster;

  beforeAll(async () => {
    hosts = [await on.org.enroll("n1"), await on.org.enroll("n2")];
    const { roster } = await on.org.org.getOrg({}, on.org.headers);
    if (roster === undefined) throw new Error("there is no roster");
    const counted = { version: Number(roster.version), issuedAt: Number(roster.issuedAt) };
    mine = { ...roster, ...counted, orgId: on.org.orgId, joins: [] };
    other = signed({ ...mine, issuedAt: mine.issuedAt + 1, nodes: mine.nodes.slice(0, 1) });
  }, 60_000);

  const signed = (roster: Roster, by = on.org.orgKey): SignedRoster => {
    return { ...roster, signer: by.publicKey, signature: signWith(by, rosterTuple(roster)) };
  };
  const join = (one: SignedRoster, two: SignedRoster) => {
    return withJoin({ ...one, issuedAt: on.fleet.clock.now(), nodes: mine.nodes.slice(0, 1) }, one, two);
  };
  const put = (roster: SignedRoster) => on.org.org.putRoster({ roster: writeRosterMessage(roster) }, on.org.headers);
  const names = async () => (await on.org.nodes.listNodes({}, on.org.headers)).nodes.map(({ name }) => name);

  test("takes none of rosters of which it has neither, by whoever, and nobody ends", async () => {
    const third = signed({ ...other, issuedAt: other.issuedAt + 1 });
    await expect(put(signed(join(other, third)))).rejects.toEqual(refused("roster.split"));
    await expect(put(signed(join(mine, other), makePair("ed25519")))).rejects.toEqual(refused("roster.refused"));
    await expect(put({ ...signed(join(mine, other)), joins: [] })).rejects.toEqual(refused("roster.refused"));
    expect(await names()).toEqual(["n1", "n2"]);
  });

  test("takes none of the past that an operator made up, and the organisation may join as often as before", async () => {
    const operator = makePair("ed25519");
    const certified = signed({ ...mine, version: mine.version + 1, operatorKeys: [operator.publicKey] });
    await put(certified);
    mine = certified;
    const past = Array.from({ length: 64 }, (_, issuedAt) =>
      withJoin({ ...mine, joins: [] }, { ...mine, version: 1, issuedAt }, { ...mine, version: 2 }),
    );
    const joins = past.flatMap((one) => one.joins ?? []);
    const next = { ...mine, version: mine.version + 1 };
    await expect(put(signed({ ...next, joins }, operator))).rejects.toEqual(refused("roster.split"));
    const { roster } = await on.org.org.getOrg({}, on.org.headers);
    expect(roster).toMatchObject({ version: BigInt(mine.version), joins: [] });
  });

  test("takes none with a confirmation: whoever it leaves out would end by that", async () => {
    const host = new HostUnderTest(on.org, "n3");
    const { nodeId, enrollmentId } = await host.register(await on.org.createCode()).then(() => host.registered);
    const own = { ...mine, issuedAt: on.fleet.clock.now(), nodes: [...mine.nodes, host.rosterNode] };
    const roster = writeRosterMessage(signed(withJoin(own, mine, other)));
    const asked = on.org.nodes.confirmNode(
      { nodeId, enrollmentId, fingerprint: host.fingerprint, roster },
      on.org.headers,
    );
    await expect(asked).rejects.toEqual(refused("roster.refused"));
    await on.org.nodes.cancelEnrollment({ enrollmentId }, on.org.headers);
  });

  test("ends whom it leaves out, on record and once; it and those after it are the organisation's roster", async () => {
    const key = await apiKeyOf(hosts[1]);
    const joined = signed(join(mine, other));
    for (let turn = 0; turn < 2; turn += 1) await put(joined);
    expect(await names()).toEqual(["n1"]);
    await expect(hosts[1].handshake(key)).rejects.toEqual(refused("auth.refused"));
    const kinds = (await auditEntries(on.database.location, on.org.orgId)).map(({ kind }) => kind);
    expect(kinds.filter((kind) => kind === "roster.joined" || kind === "node.revoked")).toEqual([
      "roster.joined",
      "node.revoked",
    ]);
    const next = { ...joined, version: joined.version + 1, operatorKeys: [makePair("ed25519").publicKey] };
    await expect(put(signed({ ...next, joins: [] }))).rejects.toEqual(refused("roster.split"));
    await put(signed(next));
    const { roster } = await on.org.org.getOrg({}, on.org.headers);
    expect(roster).toMatchObject({ version: BigInt(next.version), joins: [{ version: BigInt(joined.version) }] });
  });
});
