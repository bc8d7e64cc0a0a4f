import { DatabaseSync, type SQLInputValue, type StatementSync } from "node:sqlite";
import type { SqliteDatabase, SqliteStatement } from "kysely";

/** Prepared statements that are kept; the queries of the server are a closed set, lists of ids aside. */
const MAX_STATEMENTS = 512;
/** As the query layer spells it. */
const ROLLBACK = "rollback";

/**
 * The embedded database as the query layer wants it: WAL, every commit on disk before it counts, foreign keys held.
 * One connection: transactions follow one another.
 */
export function openSqliteDatabase(path: string): SqliteDatabase {
  const database = new DatabaseSync(path, { enableForeignKeyConstraints: true, timeout: 5_000 });
  database.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA trusted_schema = OFF");
  // Kept for files, what a savepoint may undo and each list of ids take blocks of 64 KiB and more. Those that are let go
  // of become the read buffers of new connections, which then stand in memory whole instead of in their first page.
  database.exec("PRAGMA temp_store = MEMORY");
  const statements = new Map<string, SqliteStatement>();
  return {
    close: () => {
      statements.clear();
      database.close();
    },
    prepare: (sql) => {
      const known = statements.get(sql);
      if (known !== undefined) return known;
      const prepared = sql === ROLLBACK ? rollback(database) : wrap(database.prepare(sql));
      if (statements.size >= MAX_STATEMENTS) statements.delete(statements.keys().next().value ?? "");
      statements.set(sql, prepared);
      return prepared;
    },
  };
}

/** On a full or failing disk SQLite undoes a transaction by itself; to fail at undoing it again would hide why. */
function rollback(database: DatabaseSync): SqliteStatement {
  const statement = wrap(database.prepare(ROLLBACK));
  const run: SqliteStatement["run"] = (parameters) =>
    database.isTransaction ? statement.run(parameters) : { changes: 0, lastInsertRowid: 0 };
  return { ...statement, run };
}

function wrap(statement: StatementSync): SqliteStatement {
  const values = (parameters: readonly unknown[]) => parameters as readonly SQLInputValue[];
  return {
    reader: statement.columns().length > 0,
    all: (parameters) => statement.all(...values(parameters)),
    run: (parameters) => statement.run(...values(parameters)),
    iterate: (parameters) => statement.iterate(...values(parameters)),
  };
}
