import { systemRandom, toProblem } from "@gatehouse/core";
import { toServerProblem } from "@gatehouse/kit";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createSetupCode } from "../src/index.ts";
import { DATABASES, type TestDatabase } from "./databases.ts";
import { FleetUnderTest, type OrgUnderTest, refused } from "./fleet-under-test.ts";

describe.each(DATABASES)("on $name", ({ open }) => {
  let database: TestDatabase;
  let fleet: FleetUnderTest;
  let acme: OrgUnderTest;
  let other: OrgUnderTest;

  beforeAll(async () => {
    database = await open();
    fleet = await FleetUnderTest.open(database.location);
    acme = await fleet.createOrg("acme");
    const code = await createSetupCode(
      { directory: fleet.directory, store: database.location },
      { clock: fleet.clock, random: systemRandom },
    );
    other = await fleet.createOrg("other", code);
    for (const name of ["n1", "n3", "n5"]) await acme.enroll(name);
    for (const name of ["n2", "n4"]) await other.enroll(name);
  });

  afterAll(async () => {
    await fleet[Symbol.asyncDispose]();
    await database[Symbol.asyncDispose]();
  });

  const page = async (by: OrgUnderTest, pageToken: string, pageSize = 2) => {
    const { nodes, nextPageToken } = await by.nodes.listNodes({ pageToken, pageSize }, by.headers);
    return { names: nodes.map(({ name }) => name), nextPageToken };
  };

  test("a page token leads to one's own organisation's rows, wherever it is from", async () => {
    const theirs = await page(other, "", 1);
    expect(theirs.names).toEqual(["n2"]);
    expect(await page(acme, theirs.nextPageToken)).toEqual({ names: ["n3", "n5"], nextPageToken: "n5" });
    for (const forged of ["n4", "~", "%", "' or 1=1 --", "n".repeat(256)]) {
      for (const name of (await page(acme, forged)).names) expect(["n1", "n3", "n5"]).toContain(name);
    }
  });

  test.each([-1, 2_501, 2 ** 31 - 1])("a page of %i rows is refused", async (pageSize) => {
    await expect(page(acme, "", pageSize)).rejects.toEqual(refused("api.malformed"));
  });

  test("a text with NUL finds nothing or is malformed, and is no fault of the server's", async () => {
    const nul = "n\u00001";
    const calls = [
      () => page(acme, nul),
      () => page(acme, "n".repeat(257)),
      () => acme.nodes.listNodes({ nameContains: nul }, acme.headers),
      () => acme.nodes.getNode({ node: nul }, acme.headers),
      () => acme.nodes.listRuns({ pageToken: nul }, acme.headers),
      () => acme.org.listSessions({ member: nul }, acme.headers),
      () => acme.org.listSessions({ pageToken: nul }, acme.headers),
      () => acme.policies.listPolicyVersions({ name: "p", pageToken: nul }, acme.headers),
      () => acme.org.createApiKey({ label: "k", role: 1, ttlMs: 0n, member: nul }, acme.headers),
    ];
    const codes = await Promise.all(
      calls.map((call) =>
        call().then(
          () => "nothing",
          (failure: unknown) => toProblem(toServerProblem(failure)).code,
        ),
      ),
    );
    expect(
      codes.filter((code) => !["nothing", "api.malformed", "nodes.not_found", "members.not_found"].includes(code)),
    ).toEqual([]);
  });
});
