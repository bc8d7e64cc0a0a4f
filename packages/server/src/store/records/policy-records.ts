import type { PolicyRecords } from "../../policies/policy-records.ts";
import { type RecordScope, stamps } from "../record-scope.ts";

export function policyRecords(scope: RecordScope): PolicyRecords {
  const { db, orgId, now } = scope;
  return {
    list: async () => {
      const rows = await db.selectFrom("policies").selectAll().where("org_id", "=", orgId).orderBy("name").execute();
      return rows.map(({ id, name, document, updated_at }) => ({ id, name, document, updatedAt: updated_at }));
    },
    put: async ({ id, name, document }) => {
      await db
        .insertInto("policies")
        .values({ ...stamps(scope), id, name, document })
        .onConflict((on) => on.columns(["org_id", "name"]).doUpdateSet({ document, updated_at: now() }))
        .execute();
    },
    remove: async (name) => {
      const one = db.deleteFrom("policies").where("org_id", "=", orgId).where("name", "=", name);
      return ((await one.executeTakeFirst()).numDeletedRows ?? 0n) > 0n;
    },
  };
}
