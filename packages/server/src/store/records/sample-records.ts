import type { SampleRecords, StoredSample, TelemetryQuery } from "../../reports/sample-records.ts";
import { insertRows } from "../insert-rows.ts";
import type { RecordScope } from "../record-scope.ts";
import { removeSome } from "../remove-some.ts";

/** Samples that one row holds: a row each would cost a reference, two indexes and four repeated texts a sample. */
const SAMPLES_A_CHUNK = 512;
/** Chunks that are read at once. */
const PAGE = 64;

export function sampleRecords(scope: RecordScope): SampleRecords {
  const { db, orgId } = scope;
  const readPage = async ({ nodeId, name, from, to }: TelemetryQuery, offset: number) => {
    const own = db.selectFrom("telemetry_chunks").selectAll().where("org_id", "=", orgId).where("node_id", "=", nodeId);
    const named = name === "" ? own : own.where("name", "=", name);
    const some = named.where("last_time", ">=", from).where("first_time", "<", to);
    // The whole row is the order: rows that are alike in all may change places.
    const ordered = some.orderBy("first_time").orderBy("name").orderBy("run_id").orderBy("samples");
    return ordered.limit(PAGE).offset(offset).execute();
  };
  return {
    insert: (samples) => insertRows(scope, CHUNK_COLUMNS, { shared: [orgId], rows: chunksOf(samples) }),
    list: async (query) => {
      const { from, to, limit } = query;
      let found: StoredSample[] = [];
      for (let offset = 0; ; offset += PAGE) {
        const page = await readPage(query, offset);
        const samples = page.flatMap(({ node_id, name, run_id, samples: text }) =>
          parseChunk(text).map(([time, value]) => ({ nodeId: node_id, name, runId: run_id, time, value })),
        );
        found = [...found, ...samples.filter(({ time }) => time >= from && time < to)].sort((a, b) => a.time - b.time);
        const reached = page.at(-1)?.first_time ?? to;
        // Nothing in a later chunk is older than the last chunk's first.
        const isAll = page.length < PAGE || (found[limit - 1]?.time ?? to) < reached;
        if (isAll) return found.slice(0, limit);
      }
    },
    removeBefore: (time, limit) => removeSome(scope, "telemetry_chunks", { olderBy: "last_time", time, limit }),
  };
}

const CHUNK_COLUMNS = {
  table: "telemetry_chunks",
  shared: { org_id: "text" },
  own: {
    node_id: "text",
    name: "text",
    run_id: "text",
    first_time: "integer",
    last_time: "integer",
    samples: "text",
  },
} as const;

/** Those of one node, name and run together, in the order of time. */
function chunksOf(samples: readonly StoredSample[]): readonly (readonly (string | number)[])[] {
  const series = new Map<string, StoredSample[]>();
  for (const sample of samples) {
    const key = `${sample.nodeId} ${sample.name} ${sample.runId}`;
    const known = series.get(key);
    if (known === undefined) series.set(key, [sample]);
    else known.push(sample);
  }
  return [...series.values()].flatMap((own) => {
    own.sort((a, b) => a.time - b.time);
    const cuts = Array.from({ length: Math.ceil(own.length / SAMPLES_A_CHUNK) }, (_, at) => at * SAMPLES_A_CHUNK);
    return cuts.map((from) => chunkOf(own.slice(from, from + SAMPLES_A_CHUNK)));
  });
}

function chunkOf(own: readonly StoredSample[]): readonly (string | number)[] {
  const [first, last] = [own[0], own.at(-1)];
  if (first === undefined || last === undefined) throw new Error("a chunk of no samples");
  const { nodeId, name, runId } = first;
  return [nodeId, name, runId, first.time, last.time, JSON.stringify(own.map(({ time, value }) => [time, value]))];
}

/** Written by this file alone: finite numbers. */
function parseChunk(text: string): readonly (readonly [time: number, value: number])[] {
  return JSON.parse(text) as readonly (readonly [number, number])[];
}
