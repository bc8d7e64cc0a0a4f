import { Problem } from "@gatehouse/core";
import { type Kysely, sql } from "kysely";
import type { StoreDialect } from "./dialect.ts";
import type { Migration } from "./migrations/migration.ts";
import { MIGRATIONS, migrationSql } from "./migrations/plan.ts";
import { isForbidden } from "./store-failures.ts";
import type { Tables } from "./tables.ts";

/** One lock for all servers that start on one database; any number that nobody else uses. */
const LOCK_ID = 0x67617465;

interface MigrationPlan {
  /** Steps that both have. */
  readonly applied: readonly Migration[];
  /** Steps that this release knows and the database does not have. */
  readonly pending: readonly Migration[];
  /** Steps that the database has and this release does not know. */
  readonly unknown: readonly string[];
}

/** What a start would have to do. Changes nothing. */
export async function planMigrations(db: Kysely<Tables>, dialect: StoreDialect): Promise<MigrationPlan> {
  const names = new Set(await appliedNames(db, dialect));
  const known = new Set(MIGRATIONS.map(({ name }) => name));
  return {
    applied: MIGRATIONS.filter(({ name }) => names.has(name)),
    pending: MIGRATIONS.filter(({ name }) => !names.has(name)),
    unknown: [...names].filter((name) => !known.has(name)),
  };
}

/**
 * Applies what is pending in one transaction under one lock. A step that is not additive needs `allowAll` (the
 * command `server migrate`); without it the start fails with `store.migration_needed` and changes nothing. A
 * database of a newer release is accepted: its steps were additive for this one, or it would not have been started.
 */
export async function migrate(
  db: Kysely<Tables>,
  dialect: StoreDialect,
  allowAll: boolean,
): Promise<readonly string[]> {
  return db.transaction().execute(async (tx) => {
    if (dialect.name === "postgres") await sql`select pg_advisory_xact_lock(${LOCK_ID})`.execute(tx);
    const { pending } = await planMigrations(tx, dialect);
    const held = allowAll ? undefined : pending.find(({ isAdditive }) => !isAdditive);
    if (held !== undefined) throw new Problem("store.migration_needed", { detail: `The step is ${held.name}.` });
    for (const migration of pending) await apply(tx, migration, dialect);
    return pending.map(({ name }) => name);
  });
}

/** A role that serves may not change tables: whoever owns them migrates. */
async function apply(tx: Kysely<Tables>, migration: Migration, dialect: StoreDialect): Promise<void> {
  try {
    await sql`create table if not exists migrations (name text primary key)`.execute(tx);
    for (const statement of migrationSql(migration, dialect)) await sql.raw(statement).execute(tx);
    await sql`insert into migrations (name) values (${migration.name})`.execute(tx);
  } catch (failure) {
    if (!isForbidden(failure)) throw failure;
    throw new Problem("store.migration_needed", { detail: `The step is ${migration.name}.`, cause: failure });
  }
}

async function appliedNames(db: Kysely<Tables>, dialect: StoreDialect): Promise<readonly string[]> {
  const there =
    dialect.name === "sqlite"
      ? sql`select 1 from sqlite_master where type = 'table' and name = 'migrations'`
      : sql`select 1 where to_regclass('migrations') is not null`;
  if ((await there.execute(db)).rows.length === 0) return [];
  const { rows } = await sql<{ name: string }>`select name from migrations order by name`.execute(db);
  return rows.map(({ name }) => name);
}
