import { randomUUID } from "node:crypto";
import { existsSync } from "node:fs";
import { ConnectError, createClient } from "@connectrpc/connect";
import { systemRandom } from "@gatehouse/core";
import { PROBLEM_HEADER } from "@gatehouse/kit";
import {
  AuditAdminService,
  CredentialAdminService,
  NodeAdminService,
  type Permission,
  PolicyAdminService,
  Role,
} from "@gatehouse/wire";
import { describe, expect, test } from "vitest";
import { createSetupCode } from "../src/index.ts";
import { createMemberKey } from "../src/orgs/member-keys.ts";
import { isAtLeast, mayDo } from "../src/orgs/roles.ts";
import { connectStore } from "../src/store/open-store.ts";
import { DATABASES } from "./databases.ts";
import { orgOnDatabase } from "./org-on-database.ts";
import { auditKinds } from "./stored-rows.ts";
import { waitsForLock } from "./waits-for-lock.ts";

const ROLES = ["viewer", "operator", "admin", "owner"] as const;
const WIRE = { viewer: Role.VIEWER, operator: Role.OPERATOR, admin: Role.ADMIN, owner: Role.OWNER } as const;

/** The least role of each permission; a missing row is a type error. */
const LEAST: Readonly<Record<Permission, (typeof ROLES)[number]>> = {
  "org:read": "viewer",
  "node:read": "viewer",
  "run:read": "viewer",
  "credential:read": "viewer",
  "policy:read": "viewer",
  "key:own": "viewer",
  "node:command": "operator",
  "audit:read": "operator",
  "node:manage": "admin",
  "session:manage": "admin",
  "credential:manage": "admin",
  "policy:manage": "admin",
  "member:manage": "owner",
  "org:manage": "owner",
};

test.each(Object.entries(LEAST))("%s is for %s and above alone", (permission, least) => {
  for (const role of ROLES) expect(mayDo(role, permission as Permission), role).toBe(isAtLeast(role, least));
});

describe.each(DATABASES)("on $name", ({ open }) => {
  const on = orgOnDatabase(open);

  const keyOf = async (role: (typeof ROLES)[number], member = "", by = on.org.apiKey) => {
    const made = await on.org.org.createApiKey({ label: "k", role: WIRE[role], ttlMs: 0n, member }, bearer(by));
    return { apiKey: made.apiKey, id: made.stored?.id ?? "" };
  };

  test("every role is refused every call above it, and nothing changes", async () => {
    const absent = randomUUID();
    const to = on.fleet.transport;
    const [nodes, credentials, policies] = [
      createClient(NodeAdminService, to),
      createClient(CredentialAdminService, to),
      createClient(PolicyAdminService, to),
    ];
    const calls = (own: ReturnType<typeof bearer>): Readonly<Partial<Record<Permission, () => Promise<unknown>>>> => ({
      "org:read": () => on.org.org.listMembers({}, own),
      "key:own": () => on.org.org.revokeApiKey({ id: absent }, own),
      "member:manage": () => on.org.org.removeMember({ name: "nobody" }, own),
      "node:read": () => nodes.listNodes({}, own),
      "node:manage": () => nodes.cancelEnrollment({ enrollmentId: absent }, own),
      "node:command": () => nodes.sendCommand({}, own),
      "run:read": () => nodes.listRuns({}, own),
      "credential:read": () => credentials.listCredentials({}, own),
      "credential:manage": () => credentials.revokeCredential({}, own),
      "policy:read": () => policies.listPolicies({}, own),
      "policy:manage": () => policies.deletePolicy({}, own),
      "audit:read": () => createClient(AuditAdminService, to).proveAuditEntry({}, own),
    });
    for (const role of ROLES) {
      const { apiKey } = await keyOf(role);
      for (const [permission, call] of Object.entries(calls(bearer(apiKey)))) {
        const least = LEAST[permission as Permission];
        if (isAtLeast(role, least)) {
          expect(await problemOf(call()), `${role} ${permission}`).not.toBe("auth.forbidden");
          continue;
        }
        expect(await problemOf(call()), `${role} ${permission}`).toBe("auth.forbidden");
        await expect(call()).rejects.toThrow(`It takes the role ${least}; the caller acts as ${role}.`);
      }
    }
    expect(await memberNames()).toEqual(["ada"]);
  });

  test("a key does no more than its member, from the moment on that the member may less", async () => {
    await on.org.org.addMember({ name: "bob", role: Role.ADMIN }, on.org.headers);
    const { apiKey } = await keyOf("owner", "bob");
    expect(await problemOf(on.org.org.addMember({ name: "eve", role: Role.OWNER }, bearer(apiKey)))).toBe(
      "auth.forbidden",
    );
    expect(await problemOf(keyOf("owner", "", apiKey))).toBe("auth.forbidden");
    expect(await problemOf(keyOf("admin", "ada", apiKey))).toBe("auth.forbidden");
    await on.org.org.setMemberRole({ name: "bob", role: Role.VIEWER }, on.org.headers);
    const nodes = createClient(NodeAdminService, on.fleet.transport);
    expect(await problemOf(nodes.createEnrollmentCode({ name: "x" }, bearer(apiKey)))).toBe("auth.forbidden");
    expect((await nodes.listEnrollmentCodes({}, on.org.headers)).enrollments).toEqual([]);
    expect(await memberNames()).toEqual(["ada", "bob"]);
    await on.org.org.removeMember({ name: "bob" }, on.org.headers);
  });

  test("a key of an hour makes no key that lives longer, and ends none that does more", async () => {
    await on.org.org.addMember({ name: "hal", role: Role.ADMIN }, on.org.headers);
    const hour = { label: "k", role: Role.ADMIN, ttlMs: 3_600_000n, member: "hal" };
    const short = await on.org.org.createApiKey(hour, on.org.headers);
    const own = bearer(short.apiKey);
    const before = (await on.org.org.listApiKeys({}, on.org.headers)).apiKeys.length;
    const longer = { label: "k", role: Role.VIEWER, ttlMs: 3_700_000n, member: "" };
    expect(await problemOf(on.org.org.createApiKey(longer, own))).toBe("auth.forbidden");
    expect((await on.org.org.listApiKeys({}, on.org.headers)).apiKeys).toHaveLength(before);
    const most = await on.org.org.createApiKey({ ...longer, ttlMs: 0n }, own);
    expect(most.stored?.expiresAt).toBe(short.stored?.expiresAt);
    const reader = bearer(most.apiKey);
    expect(await problemOf(on.org.org.revokeApiKey({ id: short.stored?.id ?? "" }, reader))).toBe("auth.forbidden");
    expect(await problemOf(on.org.org.getOrg({}, own))).toBeUndefined();
    expect(await problemOf(on.org.org.revokeApiKey({ id: most.stored?.id ?? "" }, reader))).toBeUndefined();
    await on.org.org.removeMember({ name: "hal" }, on.org.headers);
  });

  test("a removed member's keys open nothing, also when somebody of the same name is added", async () => {
    await on.org.org.addMember({ name: "carl", role: Role.OWNER }, on.org.headers);
    const { apiKey } = await keyOf("owner", "carl");
    expect(await problemOf(on.org.org.getOrg({}, bearer(apiKey)))).toBeUndefined();
    await on.org.org.removeMember({ name: "carl" }, on.org.headers);
    expect(await problemOf(on.org.org.getOrg({}, bearer(apiKey)))).toBe("auth.refused");
    await on.org.org.addMember({ name: "carl", role: Role.OWNER }, on.org.headers);
    expect(await problemOf(on.org.org.getOrg({}, bearer(apiKey)))).toBe("auth.refused");
    expect((await on.org.org.listApiKeys({}, on.org.headers)).apiKeys.map(({ member }) => member)).not.toContain(
      "carl",
    );
    await on.org.org.removeMember({ name: "carl" }, on.org.headers);
  });

  test("a member has so many keys that are good at a time; removed, none of them, however many they made", async () => {
    await on.org.org.addMember({ name: "hoarder", role: Role.VIEWER }, on.org.headers);
    const { apiKey } = await keyOf("viewer", "hoarder");
    const now = on.fleet.clock.now();
    await using store = await connectStore(on.database.location, on.fleet.clock);
    await store.inOrg(on.org.orgId, async ({ members, apiKeys }) => {
      const memberId = (await members.findByName("hoarder"))?.id;
      for (let at = 0; at < 1_000; at += 1) {
        const id = randomUUID();
        const stored = { id, prefix: "gha_00000000", sha256: systemRandom.bytes(32), memberId, nodeId: undefined };
        // Two of them are over: they take no place.
        await apiKeys.insert({ ...stored, label: "k", role: "viewer", expiresAt: at < 2 ? now - 1 : now + 3_600_000 });
      }
    });
    const { second } = await store.inOrg(on.org.orgId, async (tx) => {
      const memberId = (await tx.members.findByName("hoarder"))?.id ?? "";
      const own = { orgId: on.org.orgId, memberId, member: "hoarder", role: "viewer" } as const;
      const caller = { ...own, authority: "key:any", expiresAt: now + 3_600_000 } as const;
      const input = { caller, label: "k", role: "viewer", ttlMs: 0, member: "" } as const;
      await createMemberKey(tx, input, systemRandom);
      const begun = store.inOrg(on.org.orgId, (other) => createMemberKey(other, input, systemRandom));
      const second = begun.catch((failure: unknown) => failure);
      await Promise.race([second, waitsForLock(store)]);
      return { second };
    });
    expect(await second).toMatchObject({ code: "api.too_many" });
    expect(await problemOf(keyOf("viewer", "", apiKey))).toBe("api.too_many");
    await on.org.org.removeMember({ name: "hoarder" }, on.org.headers);
    expect(await problemOf(on.org.org.getOrg({}, bearer(apiKey)))).toBe("auth.refused");
    const left = await store.inOrg(on.org.orgId, ({ apiKeys }) => apiKeys.listOfMembers());
    expect(left.filter(({ prefix }) => prefix === "gha_00000000")).toEqual([]);
  });

  test("the last owner stays, also when two owners take each other's place at once", async () => {
    expect(await problemOf(on.org.org.removeMember({ name: "ada" }, on.org.headers))).toBe("members.last_owner");
    expect(await problemOf(on.org.org.setMemberRole({ name: "ada", role: Role.ADMIN }, on.org.headers))).toBe(
      "members.last_owner",
    );
    for (let turn = 0; turn < 5; turn += 1) {
      await on.org.org.addMember({ name: "zoe", role: Role.OWNER }, on.org.headers);
      const zoe = await keyOf("owner", "zoe");
      const done = await Promise.all([
        problemOf(on.org.org.setMemberRole({ name: "zoe", role: Role.VIEWER }, on.org.headers)),
        problemOf(on.org.org.setMemberRole({ name: "ada", role: Role.VIEWER }, bearer(zoe.apiKey))),
      ]);
      expect(done.filter((one) => one === undefined)).toHaveLength(1);
      const owners = (await on.org.org.listMembers({}, on.org.headers)).members.filter(
        ({ role }) => role === Role.OWNER,
      );
      expect(owners).toHaveLength(1);
      if (owners[0]?.name === "zoe")
        await on.org.org.setMemberRole({ name: "ada", role: Role.OWNER }, bearer(zoe.apiKey));
      await on.org.org.removeMember({ name: "zoe" }, on.org.headers);
    }
  });

  test("a revoked or expired key, another's key and a key that never was are all unknown", async () => {
    const revoked = await keyOf("viewer");
    await on.org.org.revokeApiKey({ id: revoked.id }, on.org.headers);
    expect(await problemOf(on.org.org.revokeApiKey({ id: revoked.id }, on.org.headers))).toBe("keys.not_found");
    expect(await problemOf(on.org.org.getOrg({}, bearer(revoked.apiKey)))).toBe("auth.refused");
    const made = { label: "k", role: Role.VIEWER, ttlMs: 60_000n, member: "" };
    const short = (await on.org.org.createApiKey(made, on.org.headers)).apiKey;
    on.fleet.clock.advance(60_000);
    expect(await problemOf(on.org.org.getOrg({}, bearer(short)))).toBe("auth.refused");
    expect(await problemOf(on.org.org.getOrg({}, bearer(`gha_00000000_${"A".repeat(43)}`)))).toBe("auth.refused");
    await on.org.org.addMember({ name: "dan", role: Role.VIEWER }, on.org.headers);
    const dan = await keyOf("viewer", "dan");
    const ofAda = await keyOf("viewer");
    expect(await problemOf(on.org.org.revokeApiKey({ id: ofAda.id }, bearer(dan.apiKey)))).toBe("keys.not_found");
    expect(await problemOf(on.org.org.getOrg({}, bearer(ofAda.apiKey)))).toBeUndefined();
  });

  test("another organisation's members and keys are answered as absent ones, and stay as they are", async () => {
    const config = { directory: on.fleet.directory, store: on.database.location };
    const deps = { clock: on.fleet.clock, random: systemRandom };
    const nowhere = { kind: "sqlite", path: `${on.fleet.directory}/none.db` } as const;
    await expect(createSetupCode({ ...config, store: nowhere }, deps)).rejects.toMatchObject({ code: "store.missing" });
    expect(existsSync(nowhere.path)).toBe(false);
    const code = await createSetupCode(config, deps);
    const other = await on.fleet.createOrg("other", code);
    const mine = await keyOf("owner");
    const own = bearer(other.apiKey);
    expect(await problemOf(on.org.org.revokeApiKey({ id: mine.id }, own))).toBe("keys.not_found");
    expect(await problemOf(on.org.org.revokeApiKey({ id: randomUUID() }, own))).toBe("keys.not_found");
    await on.org.org.addMember({ name: "only-here", role: Role.VIEWER }, on.org.headers);
    for (const name of ["only-here", "nobody"]) {
      expect(await problemOf(on.org.org.removeMember({ name }, own))).toBe("members.not_found");
      expect(await problemOf(on.org.org.setMemberRole({ name, role: Role.OWNER }, own))).toBe("members.not_found");
      const key = { label: "k", role: Role.OWNER, ttlMs: 0n, member: name };
      expect(await problemOf(on.org.org.createApiKey(key, own))).toBe("members.not_found");
    }
    expect(await problemOf(on.org.org.getOrg({}, bearer(mine.apiKey)))).toBeUndefined();
    expect(await memberNames()).toContain("only-here");
    expect((await on.org.org.listApiKeys({}, own)).apiKeys.map(({ label }) => label)).toEqual(["owner"]);
  });

  test("a call with a key and a cookie is refused, whatever they are", async () => {
    const headers = { ...on.org.headers.headers, Cookie: "theme=dark" };
    expect(await problemOf(on.org.org.addMember({ name: "two", role: Role.OWNER }, { headers }))).toBe("auth.refused");
    expect(await memberNames()).not.toContain("two");
  });

  test("what was done about members and keys, and who looked at the keys, is on record; no key is in any line", async () => {
    const { apiKey } = await keyOf("viewer");
    await on.org.org.listApiKeys({}, on.org.headers);
    expect(await auditKinds(on.database.location, on.org.orgId)).toEqual(
      expect.arrayContaining([
        "member.added",
        "member.role_changed",
        "member.removed",
        "api_key.created",
        "api_key.revoked",
        "api_keys.listed",
      ]),
    );
    const lines = on.fleet.lines.join("\n");
    for (const secret of [apiKey, on.org.apiKey]) expect(lines).not.toContain(secret.slice(13));
  });

  async function memberNames(): Promise<readonly string[]> {
    return (await on.org.org.listMembers({}, on.org.headers)).members.map(({ name }) => name);
  }
});

function bearer(apiKey: string) {
  return { headers: { Authorization: `Bearer ${apiKey}` } };
}

/** The problem that a call failed with; `undefined`: it did not fail. */
async function problemOf(call: Promise<unknown>): Promise<string | undefined> {
  try {
    await call;
    return undefined;
  } catch (failure) {
    return ConnectError.from(failure).metadata.get(PROBLEM_HEADER) ?? ConnectError.from(failure).message;
  }
}
