import { Problem } from "@gatehouse/core";

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

/**
 * Whether the same transaction may be tried again: it changed nothing, and may work now. That is so too where another
 * one gave a command under the same key while it did: it finds that command then.
 */
export function mayRetry(failure: unknown): boolean {
  if (brokenUniqueness(failure)?.includes("idempotency_key")) return true;
  return failure instanceof Error && RETRIED.has(sqlState(failure));
}

/** What a failure means to whoever called: the disk's fault, the database's, or their own; any other stays what it is. */
export function namedFailure(failure: unknown): unknown {
  if (isUnwritable(failure)) return new Problem("state.write_failed", { cause: failure });
  if (isUnstorable(failure)) return new Problem("api.malformed", { detail: "A text holds NUL.", cause: failure });
  if (isTooSlow(failure)) return new Problem("store.busy", { cause: failure });
  return failure;
}

/** Whether PostgreSQL gave a statement up (query_canceled): behind another's lock, say. */
function isTooSlow(failure: unknown): boolean {
  return failure instanceof Error && sqlState(failure) === "57014";
}

/** Whether the embedded database could not be written: a full or failing disk. */
function isUnwritable(failure: unknown): boolean {
  return failure instanceof Error && "errcode" in failure && SQLITE_UNWRITABLE.has(Number(failure.errcode) & 0xff);
}

/** Whether a text held what PostgreSQL keeps in none: NUL (character_not_in_repertoire, untranslatable_character). */
function isUnstorable(failure: unknown): boolean {
  return failure instanceof Error && ["22021", "22P05"].includes(sqlState(failure));
}

/** Whether the database role may not do that. */
export function isForbidden(failure: unknown): boolean {
  return failure instanceof Error && sqlState(failure) === "42501";
}

function sqlState(failure: Error): string {
  return "code" in failure && typeof failure.code === "string" ? failure.code : "";
}
