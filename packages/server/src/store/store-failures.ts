/** serialization_failure and deadlock_detected of PostgreSQL: nothing was changed, and the same may work again. */
const RETRIED: ReadonlySet<string> = new Set(["40001", "40P01"]);
const UNIQUE_VIOLATION = "23505";
/** SQLITE_CONSTRAINT_UNIQUE and SQLITE_CONSTRAINT_PRIMARYKEY. */
const SQLITE_UNIQUE: ReadonlySet<unknown> = new Set([2067, 1555]);
/** Primary codes of SQLite: SQLITE_IOERR, SQLITE_FULL, SQLITE_CANTOPEN, SQLITE_READONLY. */
const SQLITE_UNWRITABLE: ReadonlySet<number> = new Set([10, 13, 14, 8]);

/** Which uniqueness a write broke, by the name of its index or columns; `undefined` when the failure is another. */
export function brokenUniqueness(failure: unknown): string | undefined {
  if (!(failure instanceof Error)) return undefined;
  if (sqlState(failure) === UNIQUE_VIOLATION) return "constraint" in failure ? String(failure.constraint) : "";
  return "errcode" in failure && SQLITE_UNIQUE.has(failure.errcode) ? failure.message : undefined;
}

/** Whether the same transaction may be tried again. */
export function mayRetry(failure: unknown): boolean {
  return failure instanceof Error && RETRIED.has(sqlState(failure));
}

/** Whether the embedded database could not be written: a full or failing disk. */
export function isUnwritable(failure: unknown): boolean {
  return failure instanceof Error && "errcode" in failure && SQLITE_UNWRITABLE.has(Number(failure.errcode) & 0xff);
}

/** Whether the database role may not do that. */
export function isForbidden(failure: unknown): boolean {
  return failure instanceof Error && sqlState(failure) === "42501";
}

function sqlState(failure: Error): string {
  return "code" in failure && typeof failure.code === "string" ? failure.code : "";
}
