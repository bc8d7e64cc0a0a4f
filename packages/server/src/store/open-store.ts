import { chmodSync } from "node:fs";
import { type Clock, Problem } from "@gatehouse/core";
import { Kysely, PostgresDialect, SqliteDialect, sql } from "kysely";
import { POSTGRES, SQLITE } from "./dialect.ts";
import { migrate } from "./migrate.ts";
import { openPostgresPool } from "./postgres-pool.ts";
import { openSqliteDatabase } from "./sqlite-database.ts";
import { Store } from "./store.ts";
import type { Tables } from "./tables.ts";

/** Where the server keeps its rows: a file of its own, or a PostgreSQL database. */
export type StoreLocation =
  | { readonly kind: "sqlite"; readonly path: string }
  | { readonly kind: "postgres"; readonly url: string };

/** Opens the database and brings its schema up to date (additive steps alone). Fails with `store.…`. */
export async function openStore(location: StoreLocation, clock: Clock): Promise<Store> {
  const store = await connectStore(location, clock);
  try {
    await migrate(store.shared, store.dialect, false);
    return store;
  } catch (failure) {
    await store[Symbol.asyncDispose]();
    throw failure;
  }
}

/** Opens the database as it is. */
export async function connectStore(location: StoreLocation, clock: Clock): Promise<Store> {
  return location.kind === "sqlite" ? connectSqlite(location.path, clock) : connectPostgres(location.url, clock);
}

function connectSqlite(path: string, clock: Clock): Store {
  const database = openSqliteDatabase(path);
  chmodSync(path, 0o600);
  return new Store(new Kysely<Tables>({ dialect: new SqliteDialect({ database }) }), SQLITE, clock);
}

async function connectPostgres(url: string, clock: Clock): Promise<Store> {
  const pool = await openPostgresPool(url);
  const store = new Store(new Kysely<Tables>({ dialect: new PostgresDialect({ pool }) }), POSTGRES, clock);
  try {
    await refuseStrongRole(store);
    return store;
  } catch (failure) {
    await store[Symbol.asyncDispose]();
    throw failure;
  }
}

/** A role that passes over row-level security would take the second wall away. */
async function refuseStrongRole(store: Store): Promise<void> {
  const { rows } = await sql<{ strong: boolean }>`
    select rolsuper or rolbypassrls as strong from pg_roles where rolname = current_user`.execute(store.shared);
  if (rows[0]?.strong !== false) throw new Problem("store.role_too_strong");
}
