import { Problem } from "@gatehouse/core";
import { type Selectable, sql } from "kysely";
import type { Node, NodeChange, NodeFilter, NodeRecords, NodeTally } from "../../nodes/node-records.ts";
import { fewById } from "../few-by-id.ts";
import { isAmong } from "../is-among.ts";
import { type RecordScope, stamps } from "../record-scope.ts";
import { brokenUniqueness } from "../store-failures.ts";
import type { Tables } from "../tables.ts";
import { updateRows } from "../update-rows.ts";

type Row = Selectable<Tables["nodes"]>;

/** More than a node is given commands in an epoch: its numbers in the next are above those that a lost database gave. */
const EPOCH_LEAP = 2 ** 32;

export function nodeRecords(scope: RecordScope): NodeRecords {
  const { db, orgId, dialect, now } = scope;
  const find = async (id: string) => (await live(scope).where("id", "=", id).execute()).map(toNode)[0];
  const findAll = async (ids: readonly string[]) =>
    (
      await live(scope)
        .where(isAmong(scope, "id", ids))
        .execute()
    ).map(toNode);
  return {
    ...lockRecords(scope),
    insert: async ({ id, name, identityKey, encryptionKey, caKey, labels, epoch }) => {
      const keys = { identity_key: identityKey, encryption_key: encryptionKey, ca_key: caKey };
      const own = { id, name, ...keys, labels: JSON.stringify(labels), epoch };
      try {
        await db
          .insertInto("nodes")
          .values({ ...stamps(scope), ...FRESH, ...own })
          .execute();
      } catch (failure) {
        throw takenProblem(failure);
      }
    },
    find,
    findAll,
    lock: async (id) => {
      // SQLite has one writer anyway.
      if (dialect.name === "postgres") {
        await sql`select 1 from nodes where id = ${id} and org_id = ${orgId} for no key update`.execute(db);
      }
      return find(id);
    },
    lockAll: async (ids) => {
      await lockInOrder(scope, ids);
      return findAll(ids);
    },
    findByName: async (name) => (await live(scope).where("name", "=", name).execute()).map(toNode)[0],
    findByIdentity: async (key) => (await live(scope).where("identity_key", "=", key).execute()).map(toNode)[0],
    list: async (filter) => (await filtered(live(scope), filter).execute()).map(toNode),
    tally: () => tallyNodes(scope),
    raiseEpoch: async (epoch) => {
      const raised = db
        .updateTable("nodes")
        .set((row) => ({ epoch, command_seq: row("command_seq", "+", EPOCH_LEAP), updated_at: now() }));
      await raised.where("org_id", "=", orgId).execute();
    },
    raiseGenerations: async (ids) => {
      await lockInOrder(scope, ids);
      const raised = db
        .updateTable("nodes")
        .set((row) => ({ generation: row("generation", "+", 1), updated_at: now() }));
      const live = raised
        .where("org_id", "=", orgId)
        .where("deleted_at", "is", null)
        .where(isAmong(scope, "id", ids));
      return (await live.returningAll().execute()).map(toNode);
    },
    update: async (id, change) => {
      const one = db.updateTable("nodes").set({ ...toColumns(change, now()), updated_at: now() });
      await one.where("org_id", "=", orgId).where("id", "=", id).execute();
    },
    moveAll: (positions) =>
      updateRows(scope, POSITION_COLUMNS, {
        shared: [now()],
        rows: positions.map(({ id, epoch, commandSeq, acknowledgedSeq }) => [id, epoch, commandSeq, acknowledgedSeq]),
      }),
  };
}

/** Locks of many nodes at once. SQLite has one writer anyway. */
function lockRecords(scope: RecordScope): Pick<NodeRecords, "lockQuiet" | "lockConfirmed" | "lockDesired"> {
  const { db, orgId, dialect } = scope;
  return {
    lockQuiet: async ({ stale, online }) => {
      const isStill = sql`liveness = 'stale' and last_seen_at < ${stale}`;
      const isSilent = sql`liveness = 'online' and last_seen_at < ${online}`;
      const quiet = live(scope).where(sql<boolean>`(${isStill} or ${isSilent})`).orderBy(fewById(scope));
      return (await (dialect.name === "postgres" ? quiet.forNoKeyUpdate() : quiet).execute()).map(toNode);
    },
    lockConfirmed: async () => {
      if (dialect.name === "postgres") {
        const all = sql`select 1 from nodes where org_id = ${orgId} and state = 'confirmed' and deleted_at is null`;
        await sql`${all} order by id for no key update`.execute(db);
      }
    },
    lockDesired: async () => {
      if (dialect.name === "postgres") {
        await sql`select pg_advisory_xact_lock(hashtextextended(${`desired ${orgId}`}, 0))`.execute(db);
      }
    },
  };
}

/** In one order, so that two that lock the same nodes do not wait for each other. SQLite has one writer anyway. */
async function lockInOrder(scope: RecordScope, ids: readonly string[]): Promise<void> {
  if (scope.dialect.name !== "postgres") return;
  const own = isAmong(scope, "id", ids);
  await sql`select 1 from nodes where org_id = ${scope.orgId} and ${own} order by id for no key update`.execute(
    scope.db,
  );
}

const POSITION_COLUMNS = {
  table: "nodes",
  shared: { updated_at: "integer" },
  own: { id: "text", epoch: "integer", command_seq: "integer", acknowledged_seq: "integer" },
} as const;

const FRESH = {
  state: "pending",
  cordoned: 0,
  generation: 0,
  applied_generation: 0,
  command_seq: 0,
  acknowledged_seq: 0,
  last_seen_at: null,
  software_version: "",
  boot_id: null,
  run_count: 0,
  quarantine_reason: null,
  deleted_at: null,
  previous_boot_id: null,
  liveness: null,
  stream_id: null,
  connected_until: null,
  health: null,
  spool_depth: 0,
  applied_at: null,
  audit_fault: null,
  refused_credentials: null,
} as const;

function live({ db, orgId }: RecordScope) {
  return db.selectFrom("nodes").selectAll().where("org_id", "=", orgId).where("deleted_at", "is", null);
}

function filtered(query: ReturnType<typeof live>, filter: NodeFilter): ReturnType<typeof live> {
  const { state, nameContains, after, labels, limit } = filter;
  let result = query.orderBy("name").limit(limit);
  if (state !== undefined) result = result.where("state", "=", state);
  if (after !== undefined) result = result.where("name", ">", after);
  if (nameContains !== undefined) result = result.where(contains("name", nameContains));
  for (const [key, value] of Object.entries(labels ?? {})) {
    // The column is JSON without spaces; a quote inside a name or value is escaped there.
    result = result.where(holds("labels", JSON.stringify({ [key]: value }).slice(1, -1)));
  }
  return result;
}

async function tallyNodes({ db, orgId }: RecordScope): Promise<readonly NodeTally[]> {
  const own = db.selectFrom("nodes").where("org_id", "=", orgId).where("deleted_at", "is", null);
  const rows = await own
    .where("state", "=", "confirmed")
    .groupBy("liveness")
    .select([
      "liveness",
      sql<number>`count(*)`.as("nodes"),
      sql<number>`sum(case when generation > applied_generation then 1 else 0 end)`.as("behind"),
      sql<number>`sum(case when audit_fault is null then 0 else 1 end)`.as("faults"),
      sql<number>`sum(spool_depth)`.as("spool"),
    ])
    .execute();
  return rows.map(({ liveness, nodes, behind, faults, spool }) => ({
    liveness: liveness ?? undefined,
    nodes: Number(nodes),
    behind: Number(behind),
    auditFaults: Number(faults),
    spoolBytes: Number(spool),
  }));
}

function contains(column: "name", text: string) {
  const pattern = `%${text.replace(/[%_\\]/g, "\\$&")}%`;
  return sql<boolean>`${sql.ref(column)} like ${pattern} escape '\\'`;
}

/** To the letter: SQLite's `like` takes `Prod` for `prod`. */
function holds(column: "labels", text: string) {
  return sql<boolean>`replace(${sql.ref(column)}, ${text}, '') <> ${sql.ref(column)}`;
}

function toColumns(change: NodeChange, now: number): Partial<Row> {
  const { isDeleted, isCordoned, labels } = change;
  const named: readonly (readonly [keyof Row, unknown])[] = [
    ["name", change.name],
    ["state", change.state],
    ["labels", labels && JSON.stringify(labels)],
    ["cordoned", isCordoned === undefined ? undefined : Number(isCordoned)],
    ["generation", change.generation],
    ["applied_generation", change.appliedGeneration],
    ["command_seq", change.commandSeq],
    ["acknowledged_seq", change.acknowledgedSeq],
    ["last_seen_at", change.lastSeenAt],
    ["software_version", change.softwareVersion],
    ["boot_id", change.bootId],
    ["run_count", change.runCount],
    ["quarantine_reason", change.quarantineReason],
    ["epoch", change.epoch],
    ["previous_boot_id", change.previousBootId],
    ["liveness", change.liveness],
    ["stream_id", change.streamId],
    ["connected_until", change.connectedUntil],
    ["health", change.health],
    ["spool_depth", change.spoolDepth],
    ["applied_at", change.appliedAt],
    ["audit_fault", change.auditFault],
    ["refused_credentials", refusedColumn(change)],
    ["deleted_at", isDeleted && now],
  ];
  return Object.fromEntries(named.filter(([, value]) => value !== undefined));
}

function refusedColumn({ refusedCredentials: refused }: NodeChange): string | null | undefined {
  return refused?.length === 0 ? null : refused && JSON.stringify(refused);
}

function toNode(row: Row): Node {
  const { id, name, state, epoch, generation } = row;
  return {
    id,
    name,
    state,
    epoch,
    generation,
    identityKey: row.identity_key,
    encryptionKey: row.encryption_key,
    caKey: row.ca_key,
    labels: JSON.parse(row.labels) as Record<string, string>,
    isCordoned: row.cordoned === 1,
    appliedGeneration: row.applied_generation,
    commandSeq: row.command_seq,
    acknowledgedSeq: row.acknowledged_seq,
    createdAt: row.created_at,
    lastSeenAt: row.last_seen_at ?? undefined,
    softwareVersion: row.software_version,
    bootId: row.boot_id ?? undefined,
    runCount: row.run_count,
    quarantineReason: row.quarantine_reason ?? undefined,
    previousBootId: row.previous_boot_id ?? undefined,
    liveness: row.liveness ?? undefined,
    streamId: row.stream_id ?? undefined,
    connectedUntil: row.connected_until ?? undefined,
    health: row.health ?? undefined,
    spoolDepth: row.spool_depth,
    appliedAt: row.applied_at ?? undefined,
    auditFault: row.audit_fault ?? undefined,
    refusedCredentials: JSON.parse(row.refused_credentials ?? "[]") as Node["refusedCredentials"],
  };
}

function takenProblem(failure: unknown): unknown {
  const broken = brokenUniqueness(failure);
  if (broken === undefined) return failure;
  return new Problem(broken.includes("identity") ? "enroll.key_enrolled" : "enroll.name_taken", { cause: failure });
}
