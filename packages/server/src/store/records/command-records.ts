import { type Selectable, sql } from "kysely";
import type { CommandChange, CommandRecords, CommandState, StoredCommand } from "../../commands/command-records.ts";
import { insertRows } from "../insert-rows.ts";
import { isAmong } from "../is-among.ts";
import type { RecordScope } from "../record-scope.ts";
import { removeSome } from "../remove-some.ts";
import type { Tables } from "../tables.ts";

type Row = Selectable<Tables["commands"]>;

export function commandRecords(scope: RecordScope): CommandRecords {
  const { db, orgId, now } = scope;
  const all = () => db.selectFrom("commands").selectAll().where("org_id", "=", orgId);
  const open = (state: "queued" | "sent") => all().where("finished_at", "is", null).where("state", "=", state);
  const change = () => db.updateTable("commands").where("org_id", "=", orgId);
  return {
    ...placeRecords(scope),
    insertAll: (batch, commands) => {
      const { batchId, actor, kind, payload, payloadSha256, idempotencyKey, notAfter } = batch;
      const asked = [batchId, actor, kind, payload, payloadSha256, idempotencyKey, notAfter];
      const rows = commands.map(({ id, nodeId }) => [id, nodeId]);
      return insertRows(scope, COMMAND_COLUMNS, { shared: [orgId, now(), now(), ...asked, "queued", ""], rows });
    },
    find: async (id) => (await all().where("id", "=", id).execute()).map(toCommand)[0],
    listByKey: async (nodeIds, key) => {
      const own = all()
        .where("idempotency_key", "=", key)
        .where(isAmong(scope, "node_id", nodeIds));
      return (await own.execute()).map(toCommand);
    },
    listBatch: async (batchId) => (await all().where("batch_id", "=", batchId).orderBy("id").execute()).map(toCommand),
    countUnended: async (batchId, limit) => {
      const own = db.selectFrom("commands").select("id").where("org_id", "=", orgId).where("batch_id", "=", batchId);
      return (await own.where("finished_at", "is", null).limit(limit).execute()).length;
    },
    listOpen: async (nodeId, state, limit) =>
      (await open(state).where("node_id", "=", nodeId).orderBy("id").limit(limit).execute()).map(toCommand),
    listOpenOf: async (actor, limit) => {
      const own = all().where("finished_at", "is", null).where("actor", "=", actor);
      return (await own.orderBy("id").limit(limit).execute()).map(toCommand);
    },
    listOverdue: async (state, notAfter, limit) =>
      (await open(state).where("not_after", "<", notAfter).limit(limit).execute()).map(toCommand),
    requeueSent: async (nodeId) => {
      await change()
        .set({ state: "queued", updated_at: now() })
        .where("node_id", "=", nodeId)
        .where("state", "=", "sent")
        .execute();
    },
    removeEndedBefore: (time, limit) => removeSome(scope, "commands", { olderBy: "finished_at", time, limit }),
    update: async (id, changed) => {
      await change()
        .set({ ...toColumns(changed), updated_at: now() })
        .where("id", "=", id)
        .execute();
    },
  };
}

/** Who has which of a node's places. */
function placeRecords(
  scope: RecordScope,
): Pick<CommandRecords, "listCrowded" | "listCommanded" | "listQueued" | "countSent"> {
  const { db, orgId } = scope;
  const open = (state: "queued" | "sent") =>
    db.selectFrom("commands").where("org_id", "=", orgId).where("finished_at", "is", null).where("state", "=", state);
  return {
    listCrowded: async (nodeIds, { all: limit, own: ownLimit, actor }) => {
      const queued = open("queued").select("node_id");
      const crowded = queued.where(isAmong(scope, "node_id", nodeIds)).groupBy("node_id");
      const ofActor = sql`sum(case when actor = ${actor} then 1 else 0 end)`;
      const rows = await crowded.having(sql<boolean>`count(*) > ${limit} or ${ofActor} > ${ownLimit}`).execute();
      return rows.map(({ node_id }) => node_id);
    },
    listCommanded: async (nodeIds) => {
      const own = open("queued").where(isAmong(scope, "node_id", nodeIds));
      return (await own.select("node_id").distinct().execute()).map(({ node_id }) => node_id);
    },
    listQueued: async (nodeId, { after, withoutActors, limit }) => {
      const own = open("queued").selectAll().where("node_id", "=", nodeId).where("id", ">", after);
      const others =
        withoutActors.length === 0 ? own : own.where((where) => where.not(isAmong(scope, "actor", withoutActors)));
      return (await others.orderBy("id").limit(limit).execute()).map(toCommand);
    },
    countSent: async (nodeId) => {
      const own = open("sent").where("node_id", "=", nodeId).groupBy("actor");
      const rows = await own.select(({ fn }) => ["actor", fn.countAll<number>().as("count")]).execute();
      return new Map(rows.map(({ actor, count }) => [actor, Number(count)]));
    },
  };
}

const COMMAND_COLUMNS = {
  table: "commands",
  shared: {
    org_id: "text",
    created_at: "integer",
    updated_at: "integer",
    batch_id: "text",
    actor: "text",
    kind: "text",
    payload: "bytes",
    payload_sha256: "bytes",
    idempotency_key: "text",
    not_after: "integer",
    state: "text",
    message: "text",
  },
  own: { id: "text", node_id: "text" },
} as const;

function toColumns(change: CommandChange): Partial<Row> {
  const named: readonly (readonly [keyof Row, unknown])[] = [
    ["actor", change.actor],
    ["batch_id", change.batchId],
    ["not_after", change.notAfter],
    ["state", change.state],
    ["epoch", change.epoch],
    ["seq", change.seq],
    ["message", change.message],
    ["result", change.result],
    ["finished_at", change.finishedAt],
  ];
  return Object.fromEntries(named.filter(([, value]) => value !== undefined));
}

function toCommand(row: Row): StoredCommand {
  const { id, actor, kind, payload, message } = row;
  return {
    id,
    actor,
    kind,
    payload,
    message,
    batchId: row.batch_id,
    nodeId: row.node_id,
    idempotencyKey: row.idempotency_key,
    payloadSha256: row.payload_sha256,
    notAfter: row.not_after,
    // Written by this file alone, and held to these words by the table.
    state: row.state as CommandState,
    epoch: row.epoch ?? undefined,
    seq: row.seq ?? undefined,
    result: row.result ?? undefined,
    createdAt: row.created_at,
    finishedAt: row.finished_at ?? undefined,
  };
}
