import type { Selectable } from "kysely";
import type { WitnessedHead, WitnessRecords } from "../../audit/witness-records.ts";
import { type RecordScope, stamps } from "../record-scope.ts";
import type { Tables } from "../tables.ts";

export function witnessRecords(scope: RecordScope): WitnessRecords {
  const { db, orgId } = scope;
  const own = () => db.selectFrom("audit_witnesses").selectAll().where("org_id", "=", orgId);
  return {
    listOfNode: async (nodeId) => (await own().where("node_id", "=", nodeId).execute()).map(toHead),
    listOfOrg: async () => (await own().where("subject", "=", "org").orderBy("node_id").execute()).map(toHead),
    put: async ({ nodeId, subject, log, size, root, time, key, signature }) => {
      const head = { log, size, root, time, key, signature };
      const row = { ...stamps(scope), node_id: nodeId, subject, ...head };
      const keys = ["org_id", "node_id", "subject"] as const;
      await db
        .insertInto("audit_witnesses")
        .values(row)
        .onConflict((on) => on.columns(keys).doUpdateSet({ ...head, updated_at: row.updated_at }))
        .execute();
    },
  };
}

function toHead({ node_id, root, key, signature, ...row }: Selectable<Tables["audit_witnesses"]>): WitnessedHead {
  const { subject, log, size, time } = row;
  const bytes = { root: new Uint8Array(root), key: new Uint8Array(key), signature: new Uint8Array(signature) };
  return { nodeId: node_id, subject, log, size, time, ...bytes };
}
