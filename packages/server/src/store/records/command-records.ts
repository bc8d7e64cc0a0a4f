import type { Selectable } from "kysely";
import type { CommandChange, CommandRecords, CommandState, StoredCommand } from "../../commands/command-records.ts";
import { type RecordScope, stamps } from "../record-scope.ts";
import type { Tables } from "../tables.ts";

type Row = Selectable<Tables["commands"]>;

export function commandRecords(scope: RecordScope): CommandRecords {
  const { db, orgId, now } = scope;
  const all = () => db.selectFrom("commands").selectAll().where("org_id", "=", orgId);
  const open = (state: "queued" | "sent") => all().where("finished_at", "is", null).where("state", "=", state);
  const change = () => db.updateTable("commands").where("org_id", "=", orgId);
  return {
    insert: async (command) => {
      const own = { id: command.id, batch_id: command.batchId, node_id: command.nodeId, actor: command.actor };
      const asked = { kind: command.kind, payload: command.payload, payload_sha256: command.payloadSha256 };
      const rest = { idempotency_key: command.idempotencyKey, not_after: command.notAfter, ...FRESH };
      await db
        .insertInto("commands")
        .values({ ...stamps(scope), ...own, ...asked, ...rest })
        .execute();
    },
    find: async (id) => (await all().where("id", "=", id).execute()).map(toCommand)[0],
    findByKey: async (nodeId, key) => {
      const rows = await all().where("node_id", "=", nodeId).where("idempotency_key", "=", key).execute();
      return rows.map(toCommand)[0];
    },
    listBatch: async (batchId) => (await all().where("batch_id", "=", batchId).orderBy("id").execute()).map(toCommand),
    listOpen: async (nodeId, state, limit) =>
      (await open(state).where("node_id", "=", nodeId).orderBy("id").limit(limit).execute()).map(toCommand),
    countOpen: async (nodeId, state) => {
      const rows = db
        .selectFrom("commands")
        .select(({ fn }) => fn.countAll<number>().as("count"))
        .where("org_id", "=", orgId)
        .where("node_id", "=", nodeId)
        .where("finished_at", "is", null)
        .where("state", "=", state);
      return Number((await rows.executeTakeFirstOrThrow()).count);
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
    update: async (id, changed) => {
      await change()
        .set({ ...toColumns(changed), updated_at: now() })
        .where("id", "=", id)
        .execute();
    },
  };
}

const FRESH = { state: "queued", epoch: null, seq: null, message: "", result: null, finished_at: null } as const;

function toColumns(change: CommandChange): Partial<Row> {
  const named: readonly (readonly [keyof Row, unknown])[] = [
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
