import type { Selectable } from "kysely";
import type { Policy, PolicyRecords, PolicyVersion } from "../../policies/policy-records.ts";
import { type RecordScope, stamps } from "../record-scope.ts";
import type { Tables } from "../tables.ts";

export function policyRecords(scope: RecordScope): PolicyRecords {
  const { db, orgId, now } = scope;
  const own = () => db.selectFrom("policies").selectAll().where("org_id", "=", orgId);
  const versionsOf = (name: string) =>
    db.selectFrom("policy_versions").selectAll().where("org_id", "=", orgId).where("name", "=", name);
  return {
    list: async (page) => {
      const all = own().orderBy("name");
      const part = page && all.where("name", ">", page.after).limit(page.limit);
      return (await (part ?? all).execute()).map(toPolicy);
    },
    find: async (name) => (await own().where("name", "=", name).execute()).map(toPolicy)[0],
    put: async ({ id, name, document, version, actor }) => {
      const row = { ...stamps(scope), name, document, version, actor };
      await db
        .insertInto("policies")
        .values({ ...row, id, labels: "{}" })
        .onConflict((on) => on.columns(["org_id", "name"]).doUpdateSet({ document, version, actor, updated_at: now() }))
        .execute();
      await db.insertInto("policy_versions").values(row).execute();
    },
    setLabels: async (name, labels) => {
      const one = db.updateTable("policies").set({ labels: JSON.stringify(labels), updated_at: now() });
      await one.where("org_id", "=", orgId).where("name", "=", name).execute();
    },
    remove: async (name) => {
      const one = db.deleteFrom("policies").where("org_id", "=", orgId).where("name", "=", name);
      return ((await one.executeTakeFirst()).numDeletedRows ?? 0n) > 0n;
    },
    versions: async (name, page) => {
      const all = versionsOf(name).orderBy("version", "desc");
      const part = page && (page.after === "" ? all : all.where("version", "<", Number(page.after))).limit(page.limit);
      return (await (part ?? all).execute()).map(toVersion);
    },
    removeVersionsBefore: async (name, version) => {
      const older = db.deleteFrom("policy_versions").where("org_id", "=", orgId).where("name", "=", name);
      await older.where("version", "<", version).execute();
    },
  };
}

type VersionRow = Pick<Selectable<Tables["policy_versions"]>, "version" | "document" | "actor" | "updated_at">;

function toVersion({ version, document, actor, updated_at: updatedAt }: VersionRow): PolicyVersion {
  return { version, document, actor, updatedAt };
}

function toPolicy(row: Selectable<Tables["policies"]>): Policy {
  const labels = JSON.parse(row.labels) as Record<string, string>;
  return { ...toVersion(row), id: row.id, name: row.name, labels };
}
