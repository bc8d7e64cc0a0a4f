import { sha256 } from "@gatehouse/kit";
import type { Selectable } from "kysely";
import type { ApiKey, ApiKeyRecords, Member, MemberRecords, Org, OrgRecords, Role } from "../../orgs/org-records.ts";
import { addLookup, type RecordScope, stamps } from "../record-scope.ts";
import type { Tables } from "../tables.ts";

export function orgRecords(scope: RecordScope): OrgRecords {
  const { db, orgId } = scope;
  return {
    insert: async ({ id, name, orgKey, orgEncryptionKey, createdBySha256 }) => {
      const keys = { org_key: orgKey, org_encryption_key: orgEncryptionKey, created_by_sha256: createdBySha256 };
      await db
        .insertInto("orgs")
        .values({ ...stamps(scope), id, name, ...keys })
        .execute();
      await addLookup(scope, "org_name", sha256(name));
    },
    get: async () => toOrg(await db.selectFrom("orgs").selectAll().where("id", "=", orgId).executeTakeFirstOrThrow()),
  };
}

export function memberRecords(scope: RecordScope): MemberRecords {
  const { db, orgId, now, dialect } = scope;
  const live = () => db.selectFrom("members").selectAll().where("org_id", "=", orgId).where("deleted_at", "is", null);
  const change = async (id: string, values: { role?: Role; deleted_at?: number }) => {
    const one = db.updateTable("members").set({ ...values, updated_at: now() });
    await one.where("org_id", "=", orgId).where("id", "=", id).execute();
  };
  return {
    insert: async ({ id, name, role }) => {
      await db
        .insertInto("members")
        .values({ ...stamps(scope), id, name, role, deleted_at: null })
        .execute();
    },
    list: async (page) => {
      const all = live().orderBy("name");
      const part = page && all.where("name", ">", page.after).limit(page.limit);
      return (await (part ?? all).execute()).map(toMember);
    },
    // SQLite has one writer anyway.
    listForUpdate: async () =>
      (await (dialect.name === "postgres" ? live().orderBy("id").forUpdate() : live()).execute()).map(toMember),
    find: async (id) => (await live().where("id", "=", id).execute()).map(toMember)[0],
    hold: async (id) => {
      const one = live().where("id", "=", id);
      return (await (dialect.name === "postgres" ? one.forShare() : one).execute()).map(toMember)[0];
    },
    lock: async (id) => {
      const one = live().where("id", "=", id);
      return (await (dialect.name === "postgres" ? one.forNoKeyUpdate() : one).execute()).map(toMember)[0];
    },
    findByName: async (name) => (await live().where("name", "=", name).execute()).map(toMember)[0],
    setRole: (id, role) => change(id, { role }),
    remove: (id) => change(id, { deleted_at: now() }),
  };
}

export function apiKeyRecords(scope: RecordScope): ApiKeyRecords {
  const { db, orgId, now, dialect } = scope;
  const all = () => db.selectFrom("api_keys").selectAll().where("org_id", "=", orgId).orderBy("id");
  const live = () => all().where("revoked_at", "is", null);
  const one = (id: string) => db.updateTable("api_keys").where("org_id", "=", orgId).where("id", "=", id);
  return {
    insert: async (key) => {
      await db
        .insertInto("api_keys")
        .values({ ...stamps(scope), ...toRow(key) })
        .execute();
      await addLookup(scope, "api_key", key.sha256);
    },
    findByHash: async (hash) => (await all().where("sha256", "=", hash).execute()).map(toApiKey)[0],
    find: async (id) => (await all().where("id", "=", id).execute()).map(toApiKey)[0],
    hold: async (id) => {
      const one = all().where("id", "=", id);
      return (await (dialect.name === "postgres" ? one.forShare() : one).execute()).map(toApiKey)[0];
    },
    listOfMembers: async (page) => {
      const keys = live().where("member_id", "is not", null);
      const part = page && keys.where("id", ">", page.after).limit(page.limit);
      return (await (part ?? keys).execute()).map(toApiKey);
    },
    listOfNode: async (nodeId) => (await live().where("node_id", "=", nodeId).execute()).map(toApiKey),
    countOfMember: async (memberId) => {
      const good = db.selectFrom("api_keys").select((row) => row.fn.countAll<number | string>().as("count"));
      const own = good.where("org_id", "=", orgId).where("member_id", "=", memberId).where("revoked_at", "is", null);
      return Number((await own.where("expires_at", ">", now()).executeTakeFirstOrThrow()).count);
    },
    touch: async (id) => {
      await one(id).set({ last_used_at: now() }).execute();
    },
    expireOfNode: async (nodeId) => {
      const own = db.updateTable("api_keys").set({ expires_at: now(), updated_at: now() }).where("org_id", "=", orgId);
      await own.where("node_id", "=", nodeId).where("expires_at", ">", now()).execute();
    },
    revoke: async (id) => {
      const at = now();
      const done = await one(id)
        .set({ revoked_at: at, updated_at: at })
        .where("revoked_at", "is", null)
        .executeTakeFirst();
      return done.numUpdatedRows > 0n;
    },
    revokeOfMember: async (memberId) => {
      const at = now();
      const own = db.updateTable("api_keys").set({ revoked_at: at, updated_at: at }).where("org_id", "=", orgId);
      await own.where("member_id", "=", memberId).where("revoked_at", "is", null).execute();
    },
  };
}

function toRow(key: Parameters<ApiKeyRecords["insert"]>[0]) {
  return {
    id: key.id,
    label: key.label,
    prefix: key.prefix,
    member_id: key.memberId ?? null,
    node_id: key.nodeId ?? null,
    sha256: key.sha256,
    role: key.role ?? null,
    expires_at: key.expiresAt,
    last_used_at: null,
    revoked_at: null,
  };
}

function toOrg(row: Selectable<Tables["orgs"]>): Org {
  const { id, name } = row;
  return {
    id,
    name,
    orgKey: row.org_key,
    orgEncryptionKey: row.org_encryption_key,
    createdBySha256: row.created_by_sha256,
  };
}

function toMember({ id, name, role, created_at }: Selectable<Tables["members"]>): Member {
  return { id, name, role: role as Role, createdAt: created_at };
}

function toApiKey(row: Selectable<Tables["api_keys"]>): ApiKey {
  const { id, label, prefix, sha256 } = row;
  return {
    id,
    label,
    prefix,
    sha256,
    memberId: row.member_id ?? undefined,
    nodeId: row.node_id ?? undefined,
    role: (row.role ?? undefined) as Role | undefined,
    createdAt: row.created_at,
    expiresAt: row.expires_at,
    lastUsedAt: row.last_used_at ?? undefined,
    revokedAt: row.revoked_at ?? undefined,
  };
}
