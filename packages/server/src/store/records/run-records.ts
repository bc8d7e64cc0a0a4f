import { type Selectable, sql } from "kysely";
import type { ReportedRun, RunRecords, RunStateName } from "../../reports/run-records.ts";
import { insertRows } from "../insert-rows.ts";
import type { RecordScope } from "../record-scope.ts";
import { removeSome } from "../remove-some.ts";
import type { Tables } from "../tables.ts";

/** Databases bound the parameters of a statement. */
const IDS_AT_ONCE = 500;

export function runRecords(scope: RecordScope): RunRecords {
  const { db, orgId, now } = scope;
  const all = () => db.selectFrom("runs").selectAll().where("org_id", "=", orgId);
  return {
    find: async (runIds) => {
      const found: ReportedRun[] = [];
      for (let from = 0; from < runIds.length; from += IDS_AT_ONCE) {
        const some = all().where("id", "in", runIds.slice(from, from + IDS_AT_ONCE));
        found.push(...(await some.execute()).map(toRun));
      }
      return found;
    },
    list: async ({ nodeId, runId, includesEnded, after, limit }) => {
      let query = all().orderBy("created_at", "desc").orderBy("id").limit(limit);
      if (nodeId !== undefined) query = query.where("node_id", "=", nodeId);
      if (runId !== undefined) query = query.where("id", "=", runId);
      if (after !== undefined) query = query.where(isBehind(orgId, after));
      if (!includesEnded) query = query.where("ended_at", "is", null);
      return (await query.execute()).map(toRun);
    },
    put: (runs) =>
      insertRows(scope, RUN_COLUMNS, {
        shared: [orgId, now(), now()],
        rows: runs.map((run) => [
          run.runId,
          run.nodeId,
          run.state,
          documentOf(run),
          run.reportedAt,
          run.endedAt ?? null,
        ]),
      }),
    liveIds: async (nodeId, limit) => {
      const own = db.selectFrom("runs").select("id").where("org_id", "=", orgId).where("node_id", "=", nodeId);
      return (await own.where("ended_at", "is", null).limit(limit).execute()).map(({ id }) => id);
    },
    removeEndedBefore: (time, limit) => removeSome(scope, "runs", { olderBy: "ended_at", time, limit }),
  };
}

/** In the order of a list: the newest first. */
function isBehind(orgId: string, runId: string) {
  const since = sql`select created_at from runs where org_id = ${orgId} and id = ${runId}`;
  return sql<boolean>`(created_at < (${since}) or (created_at = (${since}) and id > ${runId}))`;
}

const RUN_COLUMNS = {
  table: "runs",
  shared: { org_id: "text", created_at: "integer", updated_at: "integer" },
  own: {
    id: "text",
    node_id: "text",
    state: "text",
    document: "text",
    reported_at: "integer",
    ended_at: "integer",
  },
  onConflict: `on conflict (org_id, id) do update set state = excluded.state, document = excluded.document,
    reported_at = excluded.reported_at, ended_at = excluded.ended_at, updated_at = excluded.updated_at
    where runs.node_id = excluded.node_id`,
} as const;

type Document = Pick<ReportedRun, "project" | "agent" | "driver" | "isExposed" | "grants" | "createdAt" | "exitCode">;

function documentOf({ project, agent, driver, isExposed, grants, createdAt, exitCode }: ReportedRun): string {
  return JSON.stringify({ project, agent, driver, isExposed, grants, createdAt, exitCode } satisfies Document);
}

function toRun({ id, node_id, state, document, reported_at, ended_at }: Selectable<Tables["runs"]>): ReportedRun {
  const said = JSON.parse(document) as Document;
  const own = { runId: id, nodeId: node_id, state: state as RunStateName };
  return { ...said, ...own, reportedAt: reported_at, endedAt: ended_at ?? undefined };
}
