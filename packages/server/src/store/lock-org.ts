import { sql } from "kysely";
import type { RecordScope } from "./record-scope.ts";

/**
 * Makes other transactions that lock the same organisation wait until this one ends: what is numbered in order is
 * then committed in that order too. SQLite has one writer anyway.
 */
export async function lockOrg({ db, orgId, dialect }: RecordScope): Promise<void> {
  // Not `for update`: a row that refers to the organisation holds its key, and two such transactions would deadlock.
  if (dialect.name === "postgres") await sql`select 1 from orgs where id = ${orgId} for no key update`.execute(db);
}
