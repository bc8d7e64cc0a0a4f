import { sha256 } from "@gatehouse/kit";
import { type Selectable, sql } from "kysely";
import type { Enrollment, EnrollmentChange, EnrollmentRecords } from "../../enrollment/enrollment-records.ts";
import { addLookup, type RecordScope, stamps } from "../record-scope.ts";
import type { Tables } from "../tables.ts";

type Row = Selectable<Tables["enrollments"]>;

export function enrollmentRecords(scope: RecordScope): EnrollmentRecords {
  const { db, orgId, dialect, now } = scope;
  const all = () => db.selectFrom("enrollments").selectAll().where("org_id", "=", orgId);
  const find = async (id: string) => (await all().where("id", "=", id).execute()).map(toEnrollment)[0];
  const lockRow = async (column: "id" | "code_sha256", value: string | Uint8Array) => {
    // SQLite has one writer anyway.
    if (dialect.name === "postgres") {
      await sql`select 1 from enrollments where ${sql.ref(column)} = ${value} and org_id = ${orgId} for no key update`.execute(
        db,
      );
    }
    return (await all().where(column, "=", value).execute()).map(toEnrollment)[0];
  };
  return {
    insert: async ({ id, codeSha256, name, labels, claimExpiresAt, replacesNodeId }) => {
      const own = { id, code_sha256: codeSha256, name: name ?? null, labels: JSON.stringify(labels) };
      const ends = { claim_expires_at: claimExpiresAt, replaces_node_id: replacesNodeId ?? null };
      await db
        .insertInto("enrollments")
        .values({ ...stamps(scope), ...FRESH, ...own, ...ends })
        .execute();
      await addLookup(scope, "enrollment_code", codeSha256);
      await addLookup(scope, "enrollment", sha256(id));
    },
    find,
    lockByCode: (codeSha256) => lockRow("code_sha256", codeSha256),
    lock: (id) => lockRow("id", id),
    findByNode: async (nodeId) => (await all().where("node_id", "=", nodeId).execute()).map(toEnrollment)[0],
    listOpen: async (page) => {
      const open = all().where("state", "in", ["pending", "awaiting_confirmation"]).orderBy("id");
      const part = page && open.where("id", ">", page.after).limit(page.limit);
      return (await (part ?? open).execute()).map(toEnrollment);
    },
    update: async (id, change) => {
      const one = db.updateTable("enrollments").set({ ...toColumns(change), updated_at: now() });
      await one.where("org_id", "=", orgId).where("id", "=", id).execute();
    },
  };
}

const FRESH = {
  state: "pending",
  confirm_expires_at: null,
  node_id: null,
  tuple_sha256: null,
  proof: null,
  sealed: null,
} as const;

function toColumns(change: EnrollmentChange): Partial<Row> {
  const named: readonly (readonly [keyof Row, unknown])[] = [
    ["state", change.state],
    ["confirm_expires_at", change.confirmExpiresAt],
    ["node_id", change.nodeId],
    ["tuple_sha256", change.tupleSha256],
    ["proof", change.proof],
    ["sealed", change.sealed],
  ];
  return Object.fromEntries(named.filter(([, value]) => value !== undefined));
}

function toEnrollment(row: Row): Enrollment {
  const { id, state } = row;
  return {
    id,
    state,
    codeSha256: row.code_sha256,
    name: row.name ?? undefined,
    labels: JSON.parse(row.labels) as Record<string, string>,
    createdAt: row.created_at,
    claimExpiresAt: row.claim_expires_at,
    confirmExpiresAt: row.confirm_expires_at ?? undefined,
    nodeId: row.node_id ?? undefined,
    replacesNodeId: row.replaces_node_id ?? undefined,
    tupleSha256: row.tuple_sha256 ?? undefined,
    proof: row.proof ?? undefined,
    sealed: row.sealed ?? undefined,
  };
}
