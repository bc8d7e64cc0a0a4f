import { existsSync } from "node:fs";
import { mkdir, rename, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { type Clock, Problem, type Random } from "@gatehouse/core";
import { openExclusiveFileLock, syncDirectory, writeFileAtomic } from "@gatehouse/kit";
import { sql, type Transaction } from "kysely";
import { setOrg } from "../store/dialect.ts";
import { migrate } from "../store/migrate.ts";
import { MIGRATIONS } from "../store/migrations/plan.ts";
import { connectForMaintenance, type StoreLocation } from "../store/open-store.ts";
import type { Store } from "../store/store.ts";
import type { Tables } from "../store/tables.ts";
import { type BackupLine, readBackupFile } from "./backup-file.ts";
import { openEpoch } from "./open-epoch.ts";
import { insertRows, SHARED_TABLES, type TableRow, tenantTables } from "./table-rows.ts";

export interface RestoreOptions {
  readonly file: string;
  /** The server's part of the state directory; it must not be there yet. */
  readonly directory: string;
  /** An empty PostgreSQL database; absent: the embedded one. */
  readonly postgresUrl: string | undefined;
  /** Exported audit logs: what they say was revoked since the backup is revoked again. */
  readonly auditFiles?: readonly string[];
}

const KEY_FILE = /^(identity\.key|keys\/[a-z0-9-]+\.(key|json))$/;
const DATABASE_FILE = "server.db";

/**
 * Puts a server back from a backup, of either kind of database onto either: same identity key, a new epoch. Nothing is
 * there when it fails. Answers the epoch. Fails with `backup.unreadable`, `backup.occupied`, `backup.busy`, `store.…`.
 */
export async function restoreBackup(
  { file, directory, postgresUrl, auditFiles = [] }: RestoreOptions,
  { clock, random }: { readonly clock: Clock; readonly random: Random },
): Promise<number> {
  using lock = openExclusiveFileLock(`${directory}.lock`);
  if (lock === undefined) throw new Problem("backup.busy", { detail: `It is ${directory}.` });
  if (existsSync(directory)) throw new Problem("backup.occupied", { detail: `${directory} is there.` });
  const partial = `${directory}.partial`;
  await rm(partial, { recursive: true, force: true });
  await mkdir(join(partial, "keys"), { recursive: true, mode: 0o700 });
  const location: StoreLocation =
    postgresUrl === undefined
      ? { kind: "sqlite", path: join(partial, DATABASE_FILE) }
      : { kind: "postgres", url: postgresUrl };
  try {
    const epoch = await fill(location, { file, partial, clock, random, auditFiles });
    await rename(partial, directory);
    await syncDirectory(dirname(directory));
    return epoch;
  } catch (failure) {
    await rm(partial, { recursive: true, force: true });
    throw failure;
  }
}

interface Filling {
  readonly file: string;
  readonly partial: string;
  readonly auditFiles: readonly string[];
  readonly clock: Clock;
  readonly random: Random;
}

async function fill(location: StoreLocation, { file, partial, clock, random, auditFiles }: Filling): Promise<number> {
  await using store = await connectForMaintenance(location, clock);
  await migrate(store.shared, store.dialect, true);
  if ((await store.orgIds()).length > 0) throw new Problem("backup.occupied", { detail: "The database has rows." });
  await store.shared.transaction().execute(async (tx) => {
    const numbers = new GivenNumbers(store, tx);
    for await (const line of readBackupFile(file)) await take(line, { partial, store, tx, numbers });
    await numbers.goOn();
  });
  const now = () => clock.now();
  return await openEpoch({ directory: partial, store, now, random, reason: "restored", auditFiles });
}

interface Target {
  readonly partial: string;
  readonly store: Store;
  readonly tx: Transaction<Tables>;
  readonly numbers: GivenNumbers;
}

async function take(line: BackupLine, { partial, store, tx, numbers }: Target): Promise<void> {
  if ("gatehouse_backup" in line) return checkSteps(line.steps);
  if ("file" in line) {
    if (!KEY_FILE.test(line.file))
      throw new Problem("backup.unreadable", { detail: "It holds a file that is no key." });
    return writeFileAtomic(join(partial, line.file), line.data);
  }
  const { org, table, rows } = line;
  const known = org === null ? SHARED_TABLES.map((one) => one.table as string) : tenantTables(MIGRATIONS);
  if (!known.includes(table)) throw new Problem("backup.unreadable", { detail: "It holds a table that is not known." });
  if (org !== null && store.dialect.name === "postgres") await setOrg(org).execute(tx);
  await insertRows({ tx, dialect: store.dialect }, table, rows);
  await numbers.see(table, rows);
}

/** A backup of a newer release may hold what this one would lose. */
function checkSteps(steps: readonly string[]): void {
  const known = new Set(MIGRATIONS.map(({ name }) => name));
  const newer = steps.find((name) => !known.has(name));
  if (newer !== undefined) {
    throw new Problem("backup.unreadable", { detail: `A newer release made it: step ${newer} is not known.` });
  }
}

/** On PostgreSQL, numbers that the database gives out go on behind those that were put back. SQLite sees to it itself. */
class GivenNumbers {
  readonly #store: Store;
  readonly #tx: Transaction<Tables>;
  readonly #highest = new Map<string, number>();
  #columns: ReadonlyMap<string, string> | undefined;

  constructor(store: Store, tx: Transaction<Tables>) {
    this.#store = store;
    this.#tx = tx;
  }

  async see(table: string, rows: readonly TableRow[]): Promise<void> {
    if (this.#store.dialect.name !== "postgres") return;
    this.#columns ??= await this.#read();
    const column = this.#columns.get(table);
    if (column === undefined) return;
    const highest = rows.reduce((so, row) => Math.max(so, Number(row[column])), this.#highest.get(table) ?? 0);
    this.#highest.set(table, highest);
  }

  async goOn(): Promise<void> {
    for (const [table, highest] of this.#highest) {
      const column = this.#columns?.get(table) ?? "";
      await sql`select setval(pg_get_serial_sequence(${table}, ${column}), ${highest})`.execute(this.#tx);
    }
  }

  async #read(): Promise<ReadonlyMap<string, string>> {
    const { rows } = await sql<{ table_name: string; column_name: string }>`
      select table_name, column_name from information_schema.columns
      where table_schema = current_schema() and is_identity = 'YES'`.execute(this.#tx);
    return new Map(rows.map((row) => [row.table_name, row.column_name]));
  }
}
