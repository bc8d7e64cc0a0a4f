import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { type Clock, Problem } from "@gatehouse/core";
import { type Kysely, sql, type Transaction } from "kysely";
import { setOrg } from "../store/dialect.ts";
import { planMigrations } from "../store/migrate.ts";
import { connectForMaintenance, requireDatabase, type StoreLocation } from "../store/open-store.ts";
import type { Store } from "../store/store.ts";
import type { Tables } from "../store/tables.ts";
import { type BackupLine, writeBackupFile } from "./backup-file.ts";
import { readTable, SHARED_TABLES, tenantTables } from "./table-rows.ts";

export interface BackupOptions {
  /** The server's part of the state directory: its keys. */
  readonly directory: string;
  readonly store: StoreLocation;
  readonly out: string;
}

/**
 * Writes everything that the server knows and its keys to one file: one moment of the database, while servers go on.
 * Sessions are not in it. A database that lacks steps of this release is taken as it is. Fails with `backup.nothing`,
 * `backup.newer_database`, `store.…`, `state.write_failed`.
 */
export async function createBackup({ directory, store: location, out }: BackupOptions, clock: Clock): Promise<void> {
  const files = await readKeyFiles(directory);
  requireDatabase(location);
  await using store = await connectForMaintenance(location, clock);
  await inSnapshot(store, (tx) => writeBackupFile(out, describe({ tx, store, files, madeAt: clock.now() })));
}

/** Every key file by its path below the server's directory, the identity key first. */
async function readKeyFiles(directory: string): Promise<readonly { file: string; data: Uint8Array }[]> {
  try {
    const names = (await readdir(join(directory, "keys"))).filter((name) => /\.(key|json)$/.test(name)).sort();
    const files = ["identity.key", ...names.map((name) => `keys/${name}`)];
    return await Promise.all(files.map(async (file) => ({ file, data: await readFile(join(directory, file)) })));
  } catch (cause) {
    throw new Problem("backup.nothing", { detail: `No server has its keys in ${directory}.`, cause });
  }
}

/** A transaction that sees one moment from its first query to its last. */
async function inSnapshot(store: Store, work: (tx: Transaction<Tables>) => Promise<void>): Promise<void> {
  const begin = store.shared.transaction();
  await (store.dialect.name === "postgres" ? begin.setIsolationLevel("repeatable read") : begin).execute(work);
}

interface Described {
  readonly tx: Transaction<Tables>;
  readonly store: Store;
  readonly files: readonly { file: string; data: Uint8Array }[];
  readonly madeAt: number;
}

async function* describe({ tx, store, files, madeAt }: Described): AsyncGenerator<BackupLine> {
  const { dialect } = store;
  const { applied, unknown } = await planMigrations(tx, dialect);
  if (unknown.length > 0) throw new Problem("backup.newer_database", { detail: `It has the step ${unknown[0]}.` });
  yield { gatehouse_backup: 1, made_at: madeAt, steps: applied.map(({ name }) => name) };
  yield* files;
  for (const { table, where } of SHARED_TABLES) {
    for await (const rows of readTable({ tx, dialect, table, where })) yield { org: null, table, rows };
  }
  for (const org of await orgIds(tx)) {
    if (dialect.name === "postgres") await setOrg(org).execute(tx);
    for (const table of tenantTables(applied)) {
      const where = sql`org_id = ${org}`;
      for await (const rows of readTable({ tx, dialect, table, where })) yield { org, table, rows };
    }
  }
}

async function orgIds(tx: Kysely<Tables>): Promise<readonly string[]> {
  const rows = await tx.selectFrom("lookups").select("org_id").where("kind", "=", "org_name").execute();
  return rows.map(({ org_id }) => org_id);
}
