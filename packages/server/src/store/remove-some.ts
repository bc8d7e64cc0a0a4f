import { sql } from "kysely";
import type { RecordScope } from "./record-scope.ts";

interface Old {
  /** The column that says when; rows without one stay. */
  readonly olderBy: string;
  readonly time: number;
  readonly limit: number;
}

/** Deletes rows of an organisation that are older, not more than a limit. Answers how many. */
export async function removeSome(
  { db, orgId, dialect }: RecordScope,
  table: string,
  { olderBy, time, limit }: Old,
): Promise<number> {
  // Not every table has a key of its own: the databases' hidden one serves, where there is one.
  const rowId = dialect.name === "postgres" ? sql`ctid` : sql`rowid`;
  const [from, when] = [sql.table(table), sql.ref(olderBy)];
  const old = sql`select ${rowId} from ${from} where org_id = ${orgId} and ${when} < ${time} limit ${limit}`;
  const done = await sql`delete from ${from} where org_id = ${orgId} and ${rowId} in (${old})`.execute(db);
  return Number(done.numAffectedRows ?? 0n);
}
