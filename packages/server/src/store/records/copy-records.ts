import type { CopyRecords } from "../../audit/copy-records.ts";
import { type RecordScope, stamps } from "../record-scope.ts";

/** No writer's id. */
const NOBODY = "";

export function copyRecords(scope: RecordScope): CopyRecords {
  const { db, orgId, now } = scope;
  const all = () => db.selectFrom("audit_copies").select("node_id").where("org_id", "=", orgId);
  return {
    isBegun: async (nodeId) => (await all().where("node_id", "=", nodeId).execute()).length > 0,
    begin: async (nodeId, writer) => {
      const row = { ...stamps(scope), node_id: nodeId, writer };
      await db
        .insertInto("audit_copies")
        .values(row)
        .onConflict((on) => on.columns(["org_id", "node_id"]).doUpdateSet({ writer, updated_at: row.updated_at }))
        .execute();
    },
    goOn: async (nodeId, writer) => {
      const own = db.updateTable("audit_copies").set({ updated_at: now() }).where("org_id", "=", orgId);
      const done = own.where("node_id", "=", nodeId).where("writer", "=", writer).executeTakeFirst();
      return (await done).numUpdatedRows === 1n;
    },
    abandon: async (nodeId) => {
      const own = db.updateTable("audit_copies").set({ writer: NOBODY }).where("org_id", "=", orgId);
      await own.where("node_id", "=", nodeId).execute();
    },
    end: async (nodeId) => {
      await db.deleteFrom("audit_copies").where("org_id", "=", orgId).where("node_id", "=", nodeId).execute();
    },
    listIdle: async (since) => (await all().where("updated_at", "<", since).execute()).map(({ node_id }) => node_id),
  };
}
