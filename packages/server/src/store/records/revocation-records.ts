import { type Selectable, sql } from "kysely";
import type { Revocation, RevocationRecords } from "../../bundles/revocation-records.ts";
import { insertRows } from "../insert-rows.ts";
import { isAmong } from "../is-among.ts";
import type { RecordScope } from "../record-scope.ts";
import type { Tables } from "../tables.ts";

type Row = Selectable<Tables["revocations"]>;

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
    listUnapplied: async (nodeIds) => {
      const own = db
        .selectFrom("revocations")
        .innerJoin("nodes", (on) =>
          on.onRef("nodes.id", "=", "revocations.node_id").onRef("nodes.org_id", "=", "revocations.org_id"),
        )
        .where("revocations.org_id", "=", orgId)
        .where(isAmong(scope, "revocations.node_id", nodeIds))
        .whereRef("revocations.generation", ">", "nodes.applied_generation");
      const rows = await own
        .select(["node_id", "revocations.epoch", "revocations.generation", "ids"])
        .orderBy("revocations.epoch")
        .orderBy("revocations.generation")
        .execute();
      const byNode = Map.groupBy(rows, ({ node_id }) => node_id);
      return new Map(Array.from(byNode, ([nodeId, all]) => [nodeId, all.map(toRevocation)]));
    },
  };
}

const REVOCATION_COLUMNS = {
  table: "revocations",
  shared: { org_id: "text", created_at: "integer", updated_at: "integer", ids: "text" },
  own: { node_id: "text", epoch: "integer", generation: "integer" },
} as const;

function toRevocation({ epoch, generation, ids }: Pick<Row, "epoch" | "generation" | "ids">): Revocation {
  return { epoch, generation, ids: JSON.parse(ids) as string[] };
}
