import type { Selectable } from "kysely";
import type { Invitation, InvitationRecords, PasswordRecords } from "../../people/password-records.ts";
import { addLookup, type RecordScope, removeLookup, stamps } from "../record-scope.ts";
import type { Tables } from "../tables.ts";

export function passwordRecords(scope: RecordScope): PasswordRecords {
  const { db, orgId, now } = scope;
  const of = (memberId: string) =>
    db.selectFrom("passwords").select("hash").where("org_id", "=", orgId).where("member_id", "=", memberId);
  return {
    find: async (memberId) => (await of(memberId).executeTakeFirst())?.hash,
    put: async (memberId, hash) => {
      const row = db.insertInto("passwords").values({ ...stamps(scope), member_id: memberId, hash });
      const instead = { hash, updated_at: now() };
      await row.onConflict((on) => on.columns(["org_id", "member_id"]).doUpdateSet(instead)).execute();
    },
    memberIds: async () => {
      const all = db.selectFrom("passwords").select("member_id").where("org_id", "=", orgId);
      return new Set((await all.execute()).map((row) => row.member_id));
    },
    remove: async (memberId) => {
      await db.deleteFrom("passwords").where("org_id", "=", orgId).where("member_id", "=", memberId).execute();
    },
  };
}

export function invitationRecords(scope: RecordScope): InvitationRecords {
  const { db, orgId, now } = scope;
  const all = () => db.selectFrom("invitations").selectAll().where("org_id", "=", orgId);
  const live = () => all().where("expires_at", ">", now());
  const take = async (id: string) => {
    const row = await all().where("id", "=", id).executeTakeFirst();
    if (row === undefined) return false;
    await removeLookup(scope, "session", row.secret_sha256);
    const one = db.deleteFrom("invitations").where("org_id", "=", orgId).where("id", "=", id);
    return (await one.executeTakeFirst()).numDeletedRows > 0n;
  };
  const takeAll = async (rows: readonly { readonly id: string }[]) => {
    for (const { id } of rows) await take(id);
  };
  return {
    insert: async ({ id, memberId, secretSha256, expiresAt }) => {
      const row = { id, member_id: memberId, secret_sha256: secretSha256, expires_at: expiresAt };
      await db
        .insertInto("invitations")
        .values({ ...stamps(scope), ...row })
        .execute();
      await addLookup(scope, "session", secretSha256);
    },
    list: async () => (await live().execute()).map(toInvitation),
    findBySecret: async (hash) => {
      return (await live().where("secret_sha256", "=", hash).execute()).map(toInvitation)[0];
    },
    take,
    removeOfMember: async (memberId) => takeAll(await all().where("member_id", "=", memberId).execute()),
    removeExpired: async () => takeAll(await all().where("expires_at", "<=", now()).execute()),
    removeAll: async () => takeAll(await all().execute()),
  };
}

function toInvitation(row: Selectable<Tables["invitations"]>): Invitation {
  const { id, member_id: memberId, secret_sha256: secretSha256, expires_at: expiresAt } = row;
  return { id, memberId, secretSha256, expiresAt };
}
