import type { Selectable } from "kysely";
import type { UploadGap, UploadRecords } from "../../reports/upload-records.ts";
import { insertRows } from "../insert-rows.ts";
import type { RecordScope } from "../record-scope.ts";
import { removeSome } from "../remove-some.ts";
import type { Tables } from "../tables.ts";

export function uploadRecords(scope: RecordScope): UploadRecords {
  const { db, orgId, dialect, now } = scope;
  return {
    lockNodes: async (nodeIds) => {
      const some = db.selectFrom("nodes").select("id").where("org_id", "=", orgId).where("id", "in", nodeIds);
      const live = some.where("state", "=", "confirmed").where("deleted_at", "is", null).orderBy("id");
      // SQLite has one writer anyway.
      const rows = await (dialect.name === "postgres" ? live.forNoKeyUpdate() : live).execute();
      return new Set(rows.map(({ id }) => id));
    },
    offsets: async (stream, nodeIds) => {
      const some = db.selectFrom("upload_offsets").selectAll().where("org_id", "=", orgId);
      const rows = await some.where("stream", "=", stream).where("node_id", "in", nodeIds).execute();
      return rows.map(({ node_id, source, next_offset }) => ({ nodeId: node_id, source, nextOffset: next_offset }));
    },
    saveOffsets: (stream, offsets) =>
      insertRows(scope, OFFSET_COLUMNS, {
        shared: [orgId, now(), now(), stream],
        rows: offsets.map(({ nodeId, source, nextOffset }) => [nodeId, source, nextOffset]),
      }),
    insertGaps: (gaps) => insertRows(scope, GAP_COLUMNS, { shared: [orgId, now(), now()], rows: gaps.map(gapValues) }),
    gaps: async ({ nodeId, from, to, limit }) => {
      const own = db.selectFrom("upload_gaps").selectAll().where("org_id", "=", orgId).where("node_id", "=", nodeId);
      const some = own.where("stream", "=", "telemetry").where("captured_at", ">=", from).where("captured_at", "<", to);
      return (await some.orderBy("captured_at").limit(limit).execute()).map(toGap);
    },
    removeGapsBefore: (time, limit) => removeSome(scope, "upload_gaps", { olderBy: "captured_at", time, limit }),
  };
}

const STAMPS = { org_id: "text", created_at: "integer", updated_at: "integer" } as const;

const OFFSET_COLUMNS = {
  table: "upload_offsets",
  shared: { ...STAMPS, stream: "text" },
  own: { node_id: "text", source: "text", next_offset: "integer" },
  onConflict: `on conflict (org_id, node_id, stream, source) do update set
    next_offset = excluded.next_offset, updated_at = excluded.updated_at`,
} as const;

const GAP_COLUMNS = {
  table: "upload_gaps",
  shared: STAMPS,
  own: {
    node_id: "text",
    stream: "text",
    source: "text",
    first_offset: "integer",
    through_offset: "integer",
    batches: "integer",
    bytes: "integer",
    captured_at: "integer",
  },
} as const;

function gapValues(gap: UploadGap): readonly (string | number)[] {
  const { nodeId, stream, source, firstOffset, throughOffset, batches, bytes, capturedAt } = gap;
  return [nodeId, stream, source, firstOffset, throughOffset, batches, bytes, capturedAt];
}

function toGap(row: Selectable<Tables["upload_gaps"]>): UploadGap {
  const { node_id, stream, source, batches, bytes, captured_at } = row;
  const offsets = { firstOffset: row.first_offset, throughOffset: row.through_offset };
  return { nodeId: node_id, stream, source, ...offsets, batches, bytes, capturedAt: captured_at };
}
