import { chmodSync, existsSync } from "node:fs";
import { type Clock, Problem } from "@gatehouse/core";
import { Kysely, PostgresDialect, SqliteDialect, sql } from "kysely";
import { POSTGRES, SQLITE } from "./dialect.ts";
import { migrate } from "./migrate.ts";
import { openPostgresPool, type StatementTimes } from "./postgres-pool.ts";
import { openSqliteDatabase } from "./sqlite-database.ts";
import { Store } from "./store.ts";
import type { Tables } from "./tables.ts";

/** Of a server whose callers wait. */
const SERVING: StatementTimes = { statementMs: 15_000, answerMs: 20_000, idleMs: 10_000 };
/** Of a person who looks after the database. */
const MAINTENANCE: StatementTimes = { statementMs: 30_000, answerMs: 40_000, idleMs: 60_000 };

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

/** Opens the database as it is, to serve from it. Fails with `store.…`. */
export async function connectStore(location: StoreLocation, clock: Clock): Promise<Store> {
  const store = await connect(location, clock, SERVING);
  try {
    if (store.dialect.name === "postgres") await refuseStrongRole(store);
    return store;
  } catch (failure) {
    await store[Symbol.asyncDispose]();
    throw failure;
  }
}

/** Looking after a database must not make one. Fails with `store.missing`. */
export function requireDatabase(location: StoreLocation): void {
  if (location.kind === "postgres" || existsSync(location.path)) return;
  throw new Problem("store.missing", { detail: `There is none at ${location.path}.` });
}

/** The same for who looks after the database: the role may be one that no server should have. */
export function connectForMaintenance(location: StoreLocation, clock: Clock): Promise<Store> {
  return connect(location, clock, MAINTENANCE);
}

async function connect(location: StoreLocation, clock: Clock, times: StatementTimes): Promise<Store> {
  if (location.kind === "sqlite") return connectSqlite(location.path, clock);
  const pool = await openPostgresPool(location.url, times);
  return new Store(new Kysely<Tables>({ dialect: new PostgresDialect({ pool }) }), POSTGRES, clock);
}

function connectSqlite(path: string, clock: Clock): Store {
  const database = openSqliteDatabase(path);
  chmodSync(path, 0o600);
  return new Store(new Kysely<Tables>({ dialect: new SqliteDialect({ database }) }), SQLITE, clock);
}

/** A role that passes over row-level security would take the second wall away. */
async function refuseStrongRole(store: Store): Promise<void> {
  const { rows } = await sql<{ strong: boolean }>`
    select rolsuper or rolbypassrls as strong from pg_roles where rolname = current_user`.execute(store.shared);
  if (rows[0]?.strong !== false) throw new Problem("store.role_too_strong");
}
