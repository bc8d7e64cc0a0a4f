import { type Selectable, sql } from "kysely";
import type {
  CommandChange,
  CommandRecords,
  CommandState,
  ListedCommand,
  StoredCommand,
  WithdrawalReason,
  WithdrawnCommands,
} from "../../commands/command-records.ts";
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
    ...withdrawalRecords(scope),
    insertAll: (batch, commands) => {
      const { batchId, actor, kind, payload, payloadSha256, idempotencyKey, notAfter, authority } = batch;
      const asked = [batchId, actor, kind, payload, payloadSha256, idempotencyKey, notAfter];
      const rows = commands.map(({ id, nodeId }) => [id, nodeId]);
      return insertRows(scope, COMMAND_COLUMNS, {
        shared: [orgId, now(), now(), ...asked, "queued", "", authority],
        rows,
      });
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
    list: async ({ nodeId, isOpen }, { after, limit }) => {
      let listed = db.selectFrom("commands").select(LISTED).where("org_id", "=", orgId);
      if (nodeId !== undefined) listed = listed.where("node_id", "=", nodeId);
      if (isOpen) listed = listed.where("finished_at", "is", null);
      if (after !== "") listed = listed.where("id", "<", after);
      return (await listed.orderBy("id", "desc").limit(limit).execute()).map(toListed);
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

/** Takes commands back in one statement: it waits for whoever is about to send one, and sees what became of it. */
function withdrawalRecords(scope: RecordScope): Pick<CommandRecords, "withdraw"> {
  const { db, orgId, now } = scope;
  return {
    withdraw: async (which, { by, why, message }) => {
      const ended = sql<string>`case when seq is null then 'forbidden' else 'outcome_unknown' end`;
      const withdrawn = db
        .updateTable("commands")
        .set({ state: ended, message, withdrawn_by: by, withdrawn_why: why, finished_at: now(), updated_at: now() })
        .where("org_id", "=", orgId)
        .where("finished_at", "is", null)
        .where(isOf(scope, which));
      return (await withdrawn.returning(LISTED).execute()).map(toListed);
    },
  };
}

function isOf(scope: RecordScope, which: WithdrawnCommands) {
  if ("commandId" in which) return sql<boolean>`id = ${which.commandId} and state = 'queued' and seq is null`;
  if ("commandIds" in which) return isAmong(scope, "id", which.commandIds);
  if ("nodeId" in which) return sql<boolean>`node_id = ${which.nodeId}`;
  if (!("authorities" in which)) return sql<boolean>`actor = ${which.actor}`;
  const known = isAmong(scope, "authority", which.authorities);
  return sql<boolean>`(${known} or (authority is null and actor = ${which.actor}))`;
}

/** Who has which of a node's places. */
function placeRecords(
  scope: RecordScope,
): Pick<CommandRecords, "listCrowded" | "listCommanded" | "listQueued" | "countSent"> {
  const { db, orgId, dialect } = scope;
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
      const page = others.orderBy("id").limit(limit);
      // SQLite has one writer anyway.
      return (await (dialect.name === "postgres" ? page.forUpdate() : page).execute()).map(toCommand);
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
    authority: "text",
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
    ["authority", change.authority],
    ["withdrawn_by", change.withdrawal],
    ["withdrawn_why", change.withdrawal],
  ];
  return Object.fromEntries(named.filter(([, value]) => value !== undefined));
}

const LISTED = [
  "id",
  "batch_id",
  "node_id",
  "idempotency_key",
  "actor",
  "kind",
  "not_after",
  "state",
  "epoch",
  "seq",
  "message",
  "created_at",
  "finished_at",
  "authority",
  "withdrawn_by",
  "withdrawn_why",
] as const satisfies readonly (keyof Row)[];

function toCommand(row: Row): StoredCommand {
  const { payload, payload_sha256: payloadSha256, result } = row;
  return { ...toListed(row), payload, payloadSha256, result: result ?? undefined };
}

function toListed(row: Pick<Row, (typeof LISTED)[number]>): ListedCommand {
  const { id, actor, kind, message, withdrawn_by: by, withdrawn_why: why } = row;
  return {
    id,
    actor,
    kind,
    message,
    batchId: row.batch_id,
    nodeId: row.node_id,
    idempotencyKey: row.idempotency_key,
    notAfter: row.not_after,
    // Written by this file alone, and held to these words by the table.
    state: row.state as CommandState,
    epoch: row.epoch ?? undefined,
    seq: row.seq ?? undefined,
    createdAt: row.created_at,
    finishedAt: row.finished_at ?? undefined,
    authority: row.authority ?? undefined,
    // Written by this file alone.
    withdrawal: by === null ? undefined : { by, why: why as WithdrawalReason },
  };
}
