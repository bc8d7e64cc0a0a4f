import { Problem } from "@gatehouse/core";
import { type Kysely, sql, type Transaction } from "kysely";
import { type StoreDialect, setOrg } from "./dialect.ts";
import type { LookupKind, Tables } from "./tables.ts";

/** One transaction inside one organisation. */
export interface OrgTransaction {
  readonly orgId: string;
  readonly db: Transaction<Tables>;
  readonly dialect: StoreDialect;
}

const MAX_ATTEMPTS = 5;
/** serialization_failure and deadlock_detected of PostgreSQL: nothing was changed, and the same may work again. */
const RETRIED = new Set(["40001", "40P01"]);

/** The server's database. Everything of a tenant is reached inside a transaction that names the tenant. */
export class Store implements AsyncDisposable {
  readonly dialect: StoreDialect;
  readonly #db: Kysely<Tables>;

  constructor(db: Kysely<Tables>, dialect: StoreDialect) {
    this.#db = db;
    this.dialect = dialect;
  }

  /** Tables that belong to no organisation. Rows of tenants do not exist here on PostgreSQL. */
  get shared(): Kysely<Tables> {
    return this.#db;
  }

  /** Runs `work` in one transaction that sees the organisation's rows. What fails to serialise is tried again. */
  async inOrg<T>(orgId: string, work: (tx: OrgTransaction) => Promise<T>): Promise<T> {
    return this.#retry(() =>
      this.#db.transaction().execute(async (db) => {
        if (this.dialect.name === "postgres") await setOrg(orgId).execute(db);
        return work({ orgId, db, dialect: this.dialect });
      }),
    );
  }

  /** The organisation that a code, key, session or pin belongs to; `undefined`: none. */
  async findOrg(kind: LookupKind, sha256: Uint8Array): Promise<string | undefined> {
    const row = await this.#db
      .selectFrom("lookups")
      .select("org_id")
      .where("kind", "=", kind)
      .where("sha256", "=", sha256)
      .executeTakeFirst();
    return row?.org_id;
  }

  /** Every organisation, for what must be done in each in turn. */
  async orgIds(): Promise<readonly string[]> {
    const rows = await this.#db.selectFrom("lookups").select("org_id").where("kind", "=", "pin").execute();
    return rows.map((row) => row.org_id);
  }

  /** Whether a write reaches the disk. For health. */
  async probe(): Promise<void> {
    await sql`insert into server_facts (name, value) values ('probe', '') on conflict (name) do update set value = ''`.execute(
      this.#db,
    );
  }

  async #retry<T>(work: () => Promise<T>): Promise<T> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await work();
      } catch (failure) {
        if (attempt >= MAX_ATTEMPTS || !RETRIED.has(sqlState(failure))) throw failure;
      }
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#db.destroy();
  }
}

/** Which uniqueness a write broke, by the index' or column's name; `undefined` when the failure is another. */
export function brokenUniqueness(failure: unknown): string | undefined {
  if (!(failure instanceof Error)) return undefined;
  if (sqlState(failure) === "23505") return String((failure as { constraint?: unknown }).constraint ?? "");
  const isSqlite = "errcode" in failure && (failure.errcode === 2067 || failure.errcode === 1555);
  return isSqlite ? failure.message.replace(/^UNIQUE constraint failed: /, "") : undefined;
}

/** Turns faults of the database into the problem that callers see; others pass. */
export function storeProblem(failure: unknown): unknown {
  if (failure instanceof Problem) return failure;
  const isFull =
    failure instanceof Error && "errcode" in failure && [10, 13, 14, 778].includes(Number(failure.errcode) & 0xff);
  return isFull ? new Problem("state.write_failed", { cause: failure }) : failure;
}

function sqlState(failure: unknown): string {
  const code = failure instanceof Error && "code" in failure ? failure.code : undefined;
  return typeof code === "string" ? code : "";
}
