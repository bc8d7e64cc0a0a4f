import { sql } from "kysely";
import type { RevocationRecords } from "../../bundles/revocation-records.ts";
import { insertRows } from "../insert-rows.ts";
import { isAmong } from "../is-among.ts";
import type { RecordScope } from "../record-scope.ts";

export function revocationRecords(scope: RecordScope): RevocationRecords {
  const { db, orgId, now } = scope;
  return {
    addAll: async (nodes, ids) => {
      const isOfThese = isAmong(
        scope,
        "node_id",
        nodes.map(({ id }) => id),
      );
      await sql`delete from revocations where org_id = ${orgId} and ${isOfThese} and exists (
        select 1 from nodes where nodes.id = revocations.node_id and nodes.org_id = revocations.org_id
          and nodes.epoch = revocations.epoch and nodes.applied_generation >= revocations.generation)`.execute(db);
      const rows = nodes.map(({ id, epoch, generation }) => [id, epoch, generation]);
      await insertRows(scope, REVOCATION_COLUMNS, { shared: [orgId, now(), now(), JSON.stringify(ids)], rows });
    },
    listOfNode: async (nodeId, afterGeneration) => {
      const own = db.selectFrom("revocations").selectAll().where("org_id", "=", orgId).where("node_id", "=", nodeId);
      const rows = await own.where("generation", ">", afterGeneration).orderBy("epoch").orderBy("generation").execute();
      return rows.map(({ epoch, generation, ids }) => ({ epoch, generation, ids: JSON.parse(ids) as string[] }));
    },
  };
}

const REVOCATION_COLUMNS = {
  table: "revocations",
  shared: { org_id: "text", created_at: "integer", updated_at: "integer", ids: "text" },
  own: { node_id: "text", epoch: "integer", generation: "integer" },
} as const;
