import type { Selectable } from "kysely";
import type { Role } from "../../orgs/org-records.ts";
import type {
  DeviceGrant,
  DeviceGrantRecords,
  IdentityRecords,
  MemberSession,
  MemberSessionRecords,
} from "../../people/people-records.ts";
import { addLookup, type RecordScope, removeLookup, stamps } from "../record-scope.ts";
import type { Tables } from "../tables.ts";

export function identityRecords(scope: RecordScope): IdentityRecords {
  const { db, orgId, now } = scope;
  return {
    find: async (issuer, subject) => {
      const own = db.selectFrom("identities").selectAll().where("org_id", "=", orgId).where("issuer", "=", issuer);
      const row = await own.where("subject", "=", subject).executeTakeFirst();
      return row === undefined ? undefined : { issuer, subject, memberId: row.member_id };
    },
    insert: async ({ issuer, subject, memberId }) => {
      const row = { ...stamps(scope), issuer, subject, member_id: memberId };
      await db.insertInto("identities").values(row).execute();
    },
    listOfMember: async (memberId) => {
      const own = db.selectFrom("identities").selectAll().where("org_id", "=", orgId).where("member_id", "=", memberId);
      return (await own.orderBy("issuer").execute()).map(({ issuer, subject }) => ({ issuer, subject, memberId }));
    },
    memberIds: async () => {
      const all = db.selectFrom("identities").select("member_id").where("org_id", "=", orgId);
      return new Set((await all.execute()).map((row) => row.member_id));
    },
    removeOfMember: async (memberId, issuer) => {
      const own = db.deleteFrom("identities").where("org_id", "=", orgId).where("member_id", "=", memberId);
      return (await own.where("issuer", "=", issuer).executeTakeFirst()).numDeletedRows > 0n;
    },
    adopt: async (name, memberId) => {
      const linked = db.selectFrom("identities").select("member_id").where("org_id", "=", orgId);
      const named = db.selectFrom("members").select("id").where("org_id", "=", orgId).where("name", "=", name);
      const removed = named.where("deleted_at", "is not", null).where("id", "in", linked);
      const last = await removed.orderBy("deleted_at", "desc").orderBy("id", "desc").limit(1).executeTakeFirst();
      if (last === undefined) return [];
      const own = db.updateTable("identities").set({ member_id: memberId, updated_at: now() });
      const moved = own.where("org_id", "=", orgId).where("member_id", "=", last.id).returning(["issuer", "subject"]);
      return (await moved.execute()).map(({ issuer, subject }) => ({ issuer, subject, memberId }));
    },
  };
}

export function memberSessionRecords(scope: RecordScope): MemberSessionRecords {
  const { db, orgId, now, dialect } = scope;
  const all = () => db.selectFrom("member_sessions").selectAll().where("org_id", "=", orgId);
  const remove = async (rows: readonly Selectable<Tables["member_sessions"]>[]) => {
    for (const { id, token_sha256: hash } of rows) {
      await removeLookup(scope, "session", hash);
      await db.deleteFrom("member_sessions").where("org_id", "=", orgId).where("id", "=", id).execute();
    }
  };
  return {
    insert: async ({ id, memberId, tokenSha256, role, expiresAt, browser, address }) => {
      const row = { id, member_id: memberId, token_sha256: tokenSha256, role, expires_at: expiresAt };
      await db
        .insertInto("member_sessions")
        .values({ ...stamps(scope), ...row, browser, address, last_seen_at: now() })
        .execute();
      await addLookup(scope, "session", tokenSha256);
    },
    findByToken: async (hash) => (await all().where("token_sha256", "=", hash).execute()).map(toSession)[0],
    listOfMember: async (memberId, page) => {
      const live = all().where("expires_at", ">", now()).where("member_id", "=", memberId).orderBy("id", "desc");
      const part = page && (page.after === "" ? live : live.where("id", "<", page.after)).limit(page.limit);
      return (await (part ?? live).execute()).map(toSession);
    },
    touch: async (id) => {
      const one = db.updateTable("member_sessions").set({ last_seen_at: now() }).where("org_id", "=", orgId);
      await one.where("id", "=", id).execute();
    },
    remove: async (id) => remove(await all().where("id", "=", id).execute()),
    hold: async (id) => {
      const one = all().where("id", "=", id);
      return (await (dialect.name === "postgres" ? one.forShare() : one).execute()).map(toSession)[0];
    },
    removeOfMember: async (memberId, keptId = "") => {
      const rows = await all().where("member_id", "=", memberId).where("id", "<>", keptId).execute();
      await remove(rows);
      return rows.map(({ id }) => id);
    },
    removeExpired: async () => remove(await all().where("expires_at", "<=", now()).execute()),
    removeAll: async () => remove(await all().execute()),
  };
}

export function deviceGrantRecords(scope: RecordScope): DeviceGrantRecords {
  const { db, orgId, now } = scope;
  const all = () => db.selectFrom("device_grants").selectAll().where("org_id", "=", orgId);
  const live = () => all().where("expires_at", ">", now());
  const change = (id: string) => db.updateTable("device_grants").where("org_id", "=", orgId).where("id", "=", id);
  const take = async (id: string) => {
    const row = await all().where("id", "=", id).executeTakeFirst();
    if (row === undefined) return false;
    await removeLookup(scope, "session", row.device_sha256);
    const one = db.deleteFrom("device_grants").where("org_id", "=", orgId).where("id", "=", id);
    return (await one.executeTakeFirst()).numDeletedRows > 0n;
  };
  return {
    insert: async ({ id, deviceSha256, userCodeMac, machine, address, expiresAt, intervalMs }) => {
      const codes = { device_sha256: deviceSha256, user_code_mac: userCodeMac };
      const own = { id, machine, address, expires_at: expiresAt, interval_ms: intervalMs, polled_at: null };
      const open = { state: "pending" as const, member_id: null, role: null };
      await db
        .insertInto("device_grants")
        .values({ ...stamps(scope), ...codes, ...own, ...open })
        .execute();
      await addLookup(scope, "session", deviceSha256);
    },
    addresses: async () => (await live().execute()).map(({ address }) => address),
    findByDevice: async (hash) => (await live().where("device_sha256", "=", hash).execute()).map(toGrant)[0],
    findByUserCode: async (mac) => (await live().where("user_code_mac", "=", mac).execute()).map(toGrant)[0],
    polled: async (id, intervalMs) => {
      await change(id).set({ polled_at: now(), interval_ms: intervalMs, updated_at: now() }).execute();
    },
    decide: async (id, decision) => {
      const values =
        typeof decision === "string"
          ? { state: decision, member_id: null, role: null }
          : { state: "approved" as const, member_id: decision.memberId, role: decision.role };
      const one = change(id).where("state", "=", "pending").where("expires_at", ">", now());
      return (await one.set({ ...values, updated_at: now() }).executeTakeFirst()).numUpdatedRows > 0n;
    },
    take,
    removeOfMember: async (memberId) => {
      for (const { id } of await all().where("member_id", "=", memberId).execute()) await take(id);
    },
    removeExpired: async () => {
      for (const { id } of await all().where("expires_at", "<=", now()).execute()) await take(id);
    },
    removeAll: async () => {
      for (const { id } of await all().execute()) await take(id);
    },
  };
}

function toSession(row: Selectable<Tables["member_sessions"]>): MemberSession {
  return {
    id: row.id,
    memberId: row.member_id,
    tokenSha256: row.token_sha256,
    role: row.role as Role,
    expiresAt: row.expires_at,
    browser: row.browser ?? "",
    address: row.address ?? "",
    createdAt: row.created_at,
    lastSeenAt: row.last_seen_at ?? row.created_at,
  };
}

function toGrant(row: Selectable<Tables["device_grants"]>): DeviceGrant {
  const { id, machine, address, state, member_id: memberId, role } = row;
  const isOpen = state === "pending" || memberId === null || role === null;
  const approved = isOpen ? ("pending" as const) : { memberId, role: role as Role };
  return {
    id,
    machine,
    address,
    deviceSha256: row.device_sha256,
    userCodeMac: row.user_code_mac,
    createdAt: row.created_at,
    expiresAt: row.expires_at,
    intervalMs: row.interval_ms,
    polledAt: row.polled_at ?? undefined,
    decision: state === "denied" ? "denied" : approved,
  };
}
