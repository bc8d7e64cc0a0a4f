import type { Selectable } from "kysely";
import type { EventRecords, StoredEvent } from "../../reports/event-records.ts";
import { insertRows } from "../insert-rows.ts";
import type { RecordScope } from "../record-scope.ts";
import { removeSome } from "../remove-some.ts";
import type { Tables } from "../tables.ts";

export function eventRecords(scope: RecordScope): EventRecords {
  const { db, orgId, now } = scope;
  const all = () => db.selectFrom("events").selectAll().where("org_id", "=", orgId);
  return {
    append: async (events) => {
      if (events.length === 0) return;
      // Takes the organisation's row: whoever reads a cursor has seen all that came before it.
      const counted = db.updateTable("orgs").set((row) => ({ event_cursor: row("event_cursor", "+", events.length) }));
      const { event_cursor: last } = await counted
        .where("id", "=", orgId)
        .returning("event_cursor")
        .executeTakeFirstOrThrow();
      const first = last - events.length + 1;
      const rows = events.map(({ kind, nodeId, runId, data }, at) => [
        first + at,
        kind,
        nodeId ?? null,
        runId ?? null,
        data,
      ]);
      await insertRows(scope, EVENT_COLUMNS, { shared: [orgId, now(), now()], rows });
    },
    newestCursor: async () => {
      const org = db.selectFrom("orgs").select("event_cursor").where("id", "=", orgId);
      return (await org.executeTakeFirstOrThrow()).event_cursor;
    },
    after: async (cursor, limit) =>
      (await all().where("cursor", ">", cursor).orderBy("cursor").limit(limit).execute()).map(toEvent),
    removeBefore: (time, limit) => removeSome(scope, "events", { olderBy: "created_at", time, limit }),
  };
}

const EVENT_COLUMNS = {
  table: "events",
  shared: { org_id: "text", created_at: "integer", updated_at: "integer" },
  own: { cursor: "integer", kind: "text", node_id: "text", run_id: "text", data: "text" },
} as const;

function toEvent({ cursor, created_at, kind, node_id, run_id, data }: Selectable<Tables["events"]>): StoredEvent {
  return { cursor, time: created_at, kind, nodeId: node_id ?? undefined, runId: run_id ?? undefined, data };
}
