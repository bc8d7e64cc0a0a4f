import { type Clock, Problem } from "@gatehouse/core";
import { sql } from "kysely";
import type { StoreDialect } from "./dialect.ts";
import { migrate, planMigrations } from "./migrate.ts";
import { MIGRATIONS, migrationSql } from "./migrations/plan.ts";
import { connectForMaintenance, type StoreLocation } from "./open-store.ts";
import type { Store } from "./store.ts";

export interface MigrateOptions {
  /** Changes nothing. */
  readonly isPlanOnly: boolean;
  /** The PostgreSQL role that servers connect as: it may read and write rows, never change tables. */
  readonly grantTo: string | undefined;
}

export interface Migrated {
  /** The steps, in order. */
  readonly steps: readonly string[];
  /** What is run, or would be. */
  readonly sql: readonly string[];
}

const ROLE = /^[A-Za-z_][A-Za-z0-9_$-]{0,62}$/;

/** Brings a database up to date, steps that are not additive included. Fails with `store.…`, `usage.invalid`. */
export async function migrateDatabase(
  location: StoreLocation,
  { isPlanOnly, grantTo }: MigrateOptions,
  clock: Clock,
): Promise<Migrated> {
  await using store = await connectForMaintenance(location, clock);
  const { pending } = await planMigrations(store.shared, store.dialect);
  const grants = grantTo === undefined ? [] : grantSql(grantTo, store.dialect);
  if (grantTo !== undefined) await requireRole(store, grantTo);
  const planned = {
    steps: pending.map(({ name }) => name),
    sql: [...pending.flatMap((migration) => migrationSql(migration, store.dialect)), ...grants],
  };
  if (isPlanOnly) return planned;
  await migrate(store.shared, store.dialect, true);
  for (const statement of grants) await sql.raw(statement).execute(store.shared);
  return planned;
}

/** Before anything is changed: what was migrated without its grants serves nobody. */
async function requireRole({ shared }: Store, role: string): Promise<void> {
  const { rows } = await sql`select from pg_roles where rolname = ${role}`.execute(shared);
  if (rows.length > 0) return;
  throw new Problem("usage.invalid", { detail: `--grant-to: the database has no role ${role}. Nothing was changed.` });
}

function grantSql(role: string, dialect: StoreDialect): readonly string[] {
  if (dialect.name !== "postgres") {
    throw new Problem("usage.invalid", { detail: "--grant-to is for PostgreSQL; the embedded database has no roles." });
  }
  if (!ROLE.test(role)) throw new Problem("usage.invalid", { detail: "--grant-to takes the name of a role." });
  const tables = MIGRATIONS.flatMap((migration) => migrationSql(migration, dialect)).flatMap(
    (statement) => /^create table (\w+)/.exec(statement)?.[1] ?? [],
  );
  return [
    `grant usage on schema public to "${role}"`,
    `grant select on migrations to "${role}"`,
    `grant select, insert, update, delete on ${tables.join(", ")} to "${role}"`,
  ];
}
