import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openPostgres } from "@gatehouse/testbed";
import type { StoreLocation } from "../src/index.ts";

/** A database of a test's own, and how to end it. */
export interface TestDatabase extends AsyncDisposable {
  readonly location: StoreLocation;
}

/** Every kind of database that the store must behave alike on. */
export const DATABASES = [
  { name: "SQLite", open: openSqliteDatabase },
  { name: "PostgreSQL", open: openPostgresDatabase },
] as const;

async function openSqliteDatabase(): Promise<TestDatabase> {
  const directory = mkdtempSync(join(tmpdir(), "gatehouse-sqlite-"));
  return {
    location: { kind: "sqlite", path: join(directory, "server.db") },
    [Symbol.asyncDispose]: async () => rmSync(directory, { recursive: true, force: true }),
  };
}

async function openPostgresDatabase(): Promise<TestDatabase> {
  const server = await openPostgres();
  return {
    location: { kind: "postgres", url: server.url() },
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}
