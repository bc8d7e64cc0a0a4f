import type { RevocationRecords } from "../../bundles/revocation-records.ts";
import { type RecordScope, stamps } from "../record-scope.ts";

export function revocationRecords(scope: RecordScope): RevocationRecords {
  const { db, orgId } = scope;
  return {
    add: async (nodeId, { epoch, generation, ids }, appliedGeneration) => {
      const applied = db.deleteFrom("revocations").where("org_id", "=", orgId).where("node_id", "=", nodeId);
      await applied.where("epoch", "=", epoch).where("generation", "<=", appliedGeneration).execute();
      await db
        .insertInto("revocations")
        .values({ ...stamps(scope), node_id: nodeId, epoch, generation, ids: JSON.stringify(ids) })
        .execute();
    },
    listOfNode: async (nodeId, afterGeneration) => {
      const own = db.selectFrom("revocations").selectAll().where("org_id", "=", orgId).where("node_id", "=", nodeId);
      const rows = await own.where("generation", ">", afterGeneration).orderBy("epoch").orderBy("generation").execute();
      return rows.map(({ epoch, generation, ids }) => ({ epoch, generation, ids: JSON.parse(ids) as string[] }));
    },
  };
}
