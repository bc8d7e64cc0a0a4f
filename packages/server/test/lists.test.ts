import { Code } from "@connectrpc/connect";
import { systemClock, systemRandom } from "@gatehouse/core";
import { Role } from "@gatehouse/wire";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createSetupCode, type StoreLocation } from "../src/index.ts";
import { openSession } from "../src/people/open-session.ts";
import { connectStore } from "../src/store/open-store.ts";
import { DATABASES, type TestDatabase } from "./databases.ts";
import { FleetUnderTest, type OrgUnderTest } from "./fleet-under-test.ts";
import { sealUnderTest } from "./seal-under-test.ts";

const NAMES = ["a", "b", "c", "d", "e"] as const;

interface Asked {
  readonly pageSize?: number;
  readonly pageToken?: string;
}

interface Listed {
  readonly names: readonly string[];
  readonly nextPageToken: string;
}

/** Each list, and how one more of it is made. */
const LISTS = {
  members: {
    add: (org, name) => org.org.addMember({ name: `m-${name}`, role: Role.VIEWER }, org.headers),
    list: async ({ org, headers }, asked) => {
      const { members, nextPageToken } = await org.listMembers(asked, headers);
      return { names: members.map(({ name }) => name), nextPageToken };
    },
  },
  "api keys": {
    add: ({ org, headers }, label) => org.createApiKey({ label, role: Role.VIEWER }, headers),
    list: async ({ org, headers }, asked) => {
      const { apiKeys, nextPageToken } = await org.listApiKeys(asked, headers);
      return { names: apiKeys.map(({ label }) => label), nextPageToken };
    },
  },
  "enrollment codes": {
    add: ({ nodes, headers }, name) => nodes.createEnrollmentCode({ name }, headers),
    list: async ({ nodes, headers }, asked) => {
      const { enrollments, nextPageToken } = await nodes.listEnrollmentCodes(asked, headers);
      return { names: enrollments.map(({ name }) => name), nextPageToken };
    },
  },
  credentials: {
    add: async (org, name) => {
      const credential = await sealUnderTest({ org, hosts: [] }, name);
      return org.credentials.putCredential({ credential }, org.headers);
    },
    list: async ({ credentials, headers }, asked) => {
      const { credentials: found, nextPageToken } = await credentials.listCredentials(asked, headers);
      return { names: found.map(({ name }) => name), nextPageToken };
    },
  },
  sessions: {
    // Signing in five times would be five hashes of a password.
    add: async (org, _, store) => {
      await using opened = await connectStore(store, systemClock);
      return await opened.inOrg(org.orgId, async (tx) => {
        const member = (await tx.members.findByName("ada")) ?? expect.fail("no owner");
        const visitor = { browser: "Another program", address: "127.0.0.1" };
        return openSession(tx, { member, role: member.role, by: "link" }, { visitor, random: systemRandom });
      });
    },
    list: async ({ org, headers }, asked) => {
      const { sessions, nextPageToken } = await org.listSessions(asked, headers);
      return { names: sessions.map(({ id }) => id), nextPageToken };
    },
  },
  "versions of a policy": {
    add: ({ policies, headers }, host) => {
      const policy = { mode: "permissive", rules: [{ action: "deny", hosts: [`${host}.example.com`] }] };
      return policies.putPolicy({ name: "kept", policy: bytesOf(policy) }, headers);
    },
    list: async ({ policies, headers }, asked) => {
      const { versions, nextPageToken } = await policies.listPolicyVersions({ name: "kept", ...asked }, headers);
      return { names: versions.map(({ version }) => `${version}`), nextPageToken };
    },
  },
  policies: {
    add: ({ policies, headers }, name) => policies.putPolicy({ name, policy: bytesOf(POLICY) }, headers),
    list: async ({ policies, headers }, asked) => {
      const { policies: found, nextPageToken } = await policies.listPolicies(asked, headers);
      return { names: found.map(({ name }) => name), nextPageToken };
    },
  },
} satisfies Record<
  string,
  {
    readonly add: (org: OrgUnderTest, name: string, store: StoreLocation) => Promise<unknown>;
    readonly list: (org: OrgUnderTest, asked: Asked) => Promise<Listed>;
  }
>;

const POLICY = { mode: "strict", rules: [] };

function bytesOf(policy: unknown): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(JSON.stringify(policy));
}

describe.each(DATABASES)("on $name", ({ open }) => {
  let database: TestDatabase;
  let fleet: FleetUnderTest;
  let org: OrgUnderTest;
  let other: OrgUnderTest;

  beforeAll(async () => {
    database = await open();
    fleet = await FleetUnderTest.open(database.location);
    org = await fleet.createOrg("acme");
    const config = { directory: fleet.directory, store: database.location };
    other = await fleet.createOrg(
      "globex",
      await createSetupCode(config, { clock: fleet.clock, random: systemRandom }),
    );
    for (const { policies, headers } of [org, other]) {
      await policies.putPolicy({ name: "kept", policy: bytesOf(POLICY) }, headers);
    }
  });
  afterAll(async () => {
    await fleet[Symbol.asyncDispose]();
    await database[Symbol.asyncDispose]();
  });

  test.each(Object.entries(LISTS))("%s are listed a page at a time, each of them once", async (_, { add, list }) => {
    const before = (await list(org, {})).names;
    for (const name of NAMES) await add(org, name, database.location);
    const whole = await list(org, {});
    expect(whole).toMatchObject({ nextPageToken: "" });
    expect(whole.names).toHaveLength(before.length + NAMES.length);
    const read: string[][] = [];
    let pageToken = "";
    do {
      const page = await list(org, { pageSize: 2, pageToken });
      read.push([...page.names]);
      ({ nextPageToken: pageToken } = page);
    } while (pageToken !== "");
    expect(read.length).toBeGreaterThan(2);
    expect(read.every(({ length }) => length <= 2)).toBe(true);
    expect(read.flat()).toEqual(whole.names);
  });

  test.each(Object.entries(LISTS))(
    "no page of %s is longer than is said, nor another organisation's",
    async (_, { list }) => {
      await expect(list(org, { pageSize: 100_000 })).rejects.toMatchObject({ code: Code.InvalidArgument });
      await expect(list(org, { pageSize: -1 })).rejects.toMatchObject({ code: Code.InvalidArgument });
      const { names: own } = await list(other, {});
      const { nextPageToken } = await list(org, { pageSize: 2 });
      const { names } = await list(other, { pageToken: nextPageToken });
      expect(own).toEqual(expect.arrayContaining([...names]));
    },
  );
});
