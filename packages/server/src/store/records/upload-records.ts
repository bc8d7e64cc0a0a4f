import { type Selectable, sql } from "kysely";
import type { StoredSample, UploadGap, UploadRecords } from "../../reports/upload-records.ts";
import { insertRows } from "../insert-rows.ts";
import type { RecordScope } from "../record-scope.ts";
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
    insertSamples: (samples) => insertRows(scope, SAMPLE_COLUMNS, { shared: [orgId], rows: samples.map(sampleValues) }),
    samples: async ({ nodeId, name, from, to, limit }) => {
      const own = db.selectFrom("telemetry_samples").selectAll().where("org_id", "=", orgId);
      const named = name === "" ? own : own.where("name", "=", name);
      const some = named.where("node_id", "=", nodeId).where("time", ">=", from).where("time", "<", to);
      return (await some.orderBy("time").limit(limit).execute()).map(toSample);
    },
    gaps: async ({ nodeId, from, to, limit }) => {
      const own = db.selectFrom("upload_gaps").selectAll().where("org_id", "=", orgId).where("node_id", "=", nodeId);
      const some = own.where("stream", "=", "telemetry").where("captured_at", ">=", from).where("captured_at", "<", to);
      return (await some.orderBy("captured_at").limit(limit).execute()).map(toGap);
    },
    removeBefore: async (time, limit) => {
      // Rows have no key of their own: the databases' hidden one serves.
      const rowId = dialect.name === "postgres" ? sql`ctid` : sql`rowid`;
      const old = sql`select ${rowId} from telemetry_samples where org_id = ${orgId} and time < ${time} limit ${limit}`;
      const done = await sql`delete from telemetry_samples where org_id = ${orgId} and ${rowId} in (${old})`.execute(
        db,
      );
      await sql`delete from upload_gaps where org_id = ${orgId} and captured_at < ${time}`.execute(db);
      return Number(done.numAffectedRows ?? 0n);
    },
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

const SAMPLE_COLUMNS = {
  table: "telemetry_samples",
  shared: { org_id: "text" },
  own: { node_id: "text", name: "text", run_id: "text", time: "integer", value: "real" },
} as const;

function sampleValues({ nodeId, name, runId, time, value }: StoredSample): readonly (string | number)[] {
  return [nodeId, name, runId, time, value];
}

function gapValues(gap: UploadGap): readonly (string | number)[] {
  const { nodeId, stream, source, firstOffset, throughOffset, batches, bytes, capturedAt } = gap;
  return [nodeId, stream, source, firstOffset, throughOffset, batches, bytes, capturedAt];
}

function toSample({ node_id, name, run_id, time, value }: Selectable<Tables["telemetry_samples"]>): StoredSample {
  return { nodeId: node_id, name, runId: run_id, time, value };
}

function toGap(row: Selectable<Tables["upload_gaps"]>): UploadGap {
  const { node_id, stream, source, batches, bytes, captured_at } = row;
  const offsets = { firstOffset: row.first_offset, throughOffset: row.through_offset };
  return { nodeId: node_id, stream, source, ...offsets, batches, bytes, capturedAt: captured_at };
}
