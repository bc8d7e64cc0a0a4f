import { sql, type Transaction } from "kysely";
import type { StoreDialect } from "../store/dialect.ts";
import type { Migration } from "../store/migrations/migration.ts";
import type { Tables } from "../store/tables.ts";

/** One row as the database gave it: text, numbers, bytes, null. */
export type TableRow = Readonly<Record<string, unknown>>;

/** What is void after a restore, and so not kept. */
const PASSING: ReadonlySet<string> = new Set(["sessions", "member_sessions", "device_grants", "invitations"]);

/** Tables of tenants after these steps, in an order in which rows may be put back: what is referred to comes first. */
export function tenantTables(steps: readonly Migration[]): readonly string[] {
  return steps.flatMap((step) => step.tenantTables).filter((table) => !PASSING.has(table));
}

/** What belongs to no organisation and outlives the process. A look-up of a session has nothing to find. */
export const SHARED_TABLES = [
  { table: "setup_codes", where: sql`true` },
  { table: "lookups", where: sql`kind <> 'session'` },
  { table: "server_facts", where: sql`name = 'leaked_epoch'` },
] as const;

const PAGE = 1_000;

interface Reading {
  readonly tx: Transaction<Tables>;
  readonly dialect: StoreDialect;
  readonly table: string;
  readonly where: ReturnType<typeof sql>;
}

/** The rows of a table, page by page, as one snapshot of the transaction. */
export async function* readTable({ tx, dialect, table, where }: Reading): AsyncGenerator<readonly TableRow[]> {
  if (dialect.name === "postgres") {
    await sql`declare rows_of_backup no scroll cursor for select * from ${sql.table(table)} where ${where}`.execute(tx);
    for (let page = await fetchPage(tx); page.length > 0; page = await fetchPage(tx)) yield page;
    await sql`close rows_of_backup`.execute(tx);
    return;
  }
  for (let after = 0; ; ) {
    const query = sql<TableRow & { readonly backup_row: number }>`select rowid as backup_row, * from ${sql.table(table)}
      where ${where} and rowid > ${after} order by rowid limit ${PAGE}`;
    const { rows } = await query.execute(tx);
    if (rows.length === 0) return;
    yield rows.map((row) => Object.fromEntries(Object.entries(row).filter(([name]) => name !== "backup_row")));
    after = rows.at(-1)?.backup_row ?? after;
  }
}

async function fetchPage(tx: Transaction<Tables>): Promise<readonly TableRow[]> {
  return (await sql<TableRow>`fetch ${sql.lit(PAGE)} from rows_of_backup`.execute(tx)).rows;
}

/** Puts rows back as they were, numbers that the database gave out included. */
export async function insertRows(
  { tx, dialect }: Pick<Reading, "tx" | "dialect">,
  table: string,
  rows: readonly TableRow[],
): Promise<void> {
  const overriding = dialect.name === "postgres" ? sql`overriding system value` : sql``;
  for (const row of rows) {
    const columns = sql.join(Object.keys(row).map((name) => sql.ref(name)));
    const values = sql.join(Object.values(row));
    await sql`insert into ${sql.table(table)} (${columns}) ${overriding} values (${values})`.execute(tx);
  }
}
