import { type RawBuilder, type Selectable, type SelectQueryBuilder, sql } from "kysely";
import type {
  CommandChange,
  CommandRecords,
  CommandState,
  ListedCommand,
  StoredCommand,
  WithdrawalReason,
  WithdrawnCommands,
} from "../../commands/command-records.ts";
import { fewById } from "../few-by-id.ts";
import { insertRows } from "../insert-rows.ts";
import { isAmong } from "../is-among.ts";
import type { RecordScope } from "../record-scope.ts";
import { removeSome } from "../remove-some.ts";
import type { Tables } from "../tables.ts";
import { updateRows } from "../update-rows.ts";

type Row = Selectable<Tables["commands"]>;

export function commandRecords(scope: RecordScope): CommandRecords {
  const { db, orgId, now } = scope;
  const all = () => db.selectFrom("commands").selectAll().where("org_id", "=", orgId);
  const byKey = (nodeIds: readonly string[], key: string) =>
    all()
      .where("idempotency_key", "=", key)
      .where(isAmong(scope, "node_id", nodeIds));
  const change = () => db.updateTable("commands").where("org_id", "=", orgId);
  return {
    ...placeRecords(scope),
    ...heldRecords(scope),
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
    hold: async (ids) => {
      const own = all().where(isAmong(scope, "id", ids));
      return (await held(scope, own.orderBy(fewById(scope)))).map(toCommand);
    },
    listByKey: async (nodeIds, key) => (await byKey(nodeIds, key).execute()).map(toCommand),
    holdByKey: async (nodeIds, key) => (await held(scope, byKey(nodeIds, key).orderBy(fewById(scope)))).map(toCommand),
    listBatch: async (batchId) =>
      (await all().where("batch_id", "=", batchId).orderBy(fewById(scope)).execute()).map(toCommand),
    countUnended: async (batchId, limit) => {
      const own = db.selectFrom("commands").select("id").where("org_id", "=", orgId).where("batch_id", "=", batchId);
      return (await own.where("finished_at", "is", null).limit(limit).execute()).length;
    },
    list: async ({ nodeId, isOpen }, { after, limit }) => {
      let listed = db.selectFrom("commands").select(LISTED).where("org_id", "=", orgId);
      if (nodeId !== undefined) listed = listed.where("node_id", "=", nodeId);
      if (isOpen) listed = unended(listed);
      const order = isOpen || nodeId !== undefined ? fewById(scope) : sql<string>`id`;
      if (after !== "") listed = listed.where(order, "<", after);
      return (await listed.orderBy(order, "desc").limit(limit).execute()).map(toListed);
    },
    removeEndedBefore: (time, limit) => removeSome(scope, "commands", { olderBy: "finished_at", time, limit }),
    update: async (id, changed) => {
      await change()
        .set({ ...toColumns(changed), updated_at: now() })
        .where("id", "=", id)
        .execute();
    },
    sendAll: (places) =>
      updateRows(scope, PLACE_COLUMNS, {
        shared: ["sent", now()],
        rows: places.map(({ id, epoch, seq }) => [id, epoch, seq]),
      }),
    endAll: (outcomes) =>
      updateRows(scope, OUTCOME_COLUMNS, {
        shared: [now(), now()],
        rows: outcomes.map(({ id, state, message, result }) => [id, state, message, result]),
      }),
  };
}

/** Holds many commands without an end: whoever is about to send or end one is waited for, and what became of it seen. */
function heldRecords(
  scope: RecordScope,
): Pick<CommandRecords, "holdUnanswered" | "holdOverdue" | "requeueSent" | "withdraw"> {
  const { db, orgId, now } = scope;
  const open = () => unended(db.selectFrom("commands").where("org_id", "=", orgId));
  const change = (ids: readonly string[]) =>
    db
      .updateTable("commands")
      .where("org_id", "=", orgId)
      .where(isAmong(scope, "id", ids));
  const holdIds = async (which: RawBuilder<boolean>) =>
    (await held(scope, open().select("id").where(which).orderBy(fewById(scope)))).map(({ id }) => id);
  return {
    holdUnanswered: async (nodeId) => {
      const own = open().selectAll().where("node_id", "=", nodeId).where("state", "=", "queued");
      return (await held(scope, own.where("seq", "is not", null).orderBy(fewById(scope)))).map(toCommand);
    },
    holdOverdue: async ({ unsent, sent }, limit) => {
      const isOver = sql<boolean>`(seq is null and not_after < ${unsent} or seq is not null and not_after < ${sent})`;
      return (await held(scope, open().selectAll().where(isOver).orderBy(fewById(scope)).limit(limit))).map(toCommand);
    },
    requeueSent: async (nodeId) => {
      const ids = await holdIds(sql<boolean>`node_id = ${nodeId} and state = 'sent'`);
      if (ids.length > 0) await change(ids).set({ state: "queued", updated_at: now() }).execute();
    },
    withdraw: async (which, { by, why, message }) => {
      const ids = await holdIds(isOf(scope, which));
      if (ids.length === 0) return [];
      const wereSent = "commandIds" in which && which.wereSent === true;
      const known = sql<string>`case when seq is null then 'forbidden' else 'outcome_unknown' end`;
      const state = wereSent ? "outcome_unknown" : known;
      const withdrawn = change(ids).set({
        ...{ state, message, withdrawn_by: by, withdrawn_why: why },
        ...{ finished_at: now(), updated_at: now() },
      });
      return (await withdrawn.returning(LISTED).execute()).map(toListed);
    },
  };
}

/** Those without an end. Every node's: SQLite reads the index of these then, in place of one of all there ever were. */
function unended<O>(rows: SelectQueryBuilder<Tables, "commands", O>): SelectQueryBuilder<Tables, "commands", O> {
  return rows.where("finished_at", "is", null).where("node_id", ">", "");
}

/** Reads rows that nobody else changes until the transaction ends. SQLite has one writer anyway. */
function held<O>({ dialect }: RecordScope, rows: SelectQueryBuilder<Tables, "commands", O>): Promise<O[]> {
  return (dialect.name === "postgres" ? rows.forUpdate() : rows).execute();
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
function placeRecords(scope: RecordScope): Pick<CommandRecords, "listCrowded" | "listCommanded" | "listOpen"> {
  const { db, orgId } = scope;
  const open = () => unended(db.selectFrom("commands").where("org_id", "=", orgId));
  const queued = () => open().where("state", "=", "queued");
  return {
    listCrowded: async (nodeIds, { all: limit, own: ownLimit, actor }) => {
      const own = queued().where(isAmong(scope, "node_id", nodeIds));
      const crowded = own.select("node_id").groupBy("node_id");
      const ofActor = sql`sum(case when actor = ${actor} then 1 else 0 end)`;
      const rows = await crowded.having(sql<boolean>`count(*) > ${limit} or ${ofActor} > ${ownLimit}`).execute();
      return rows.map(({ node_id }) => node_id);
    },
    listCommanded: async (nodeIds) => {
      const own = queued().where(isAmong(scope, "node_id", nodeIds));
      return (await own.select("node_id").distinct().execute()).map(({ node_id }) => node_id);
    },
    listOpen: async (nodeIds) => {
      const own = open().where(isAmong(scope, "node_id", nodeIds));
      const rows = await own
        .select([...LISTED, sql<number>`length(payload)`.as("bytes")])
        .orderBy(fewById(scope))
        .execute();
      return rows.map((row) => ({ ...toListed(row), payloadBytes: row.bytes }));
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

const PLACE_COLUMNS = {
  table: "commands",
  shared: { state: "text", updated_at: "integer" },
  own: { id: "text", epoch: "integer", seq: "integer" },
} as const;

const OUTCOME_COLUMNS = {
  table: "commands",
  shared: { finished_at: "integer", updated_at: "integer" },
  own: { id: "text", state: "text", message: "text", result: "bytes" },
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
