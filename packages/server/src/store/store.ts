import type { Clock } from "@gatehouse/core";
import { type Kysely, sql, type Transaction } from "kysely";
import type { Bus, BusMessage } from "../bus/bus.ts";
import { type StoreDialect, setOrg } from "./dialect.ts";
import { GroupCommit } from "./group-commit.ts";
import { insertOnce, type OnceTable } from "./insert-once.ts";
import { type OrgTransaction, orgTransaction } from "./org-transaction.ts";
import { addSetupCode, findSetupCode, hasSetupCodes } from "./records/setup-codes.ts";
import { mayRetry, namedFailure } from "./store-failures.ts";
import type { LookupKind, Tables } from "./tables.ts";

const MAX_ATTEMPTS = 5;

/** What the database knows of the server whose it is. */
export type FactName = "identity_key" | "key_set" | "leaked_epoch";

/** A transaction that has begun, and what it announces. */
interface Entered {
  readonly db: Transaction<Tables>;
  readonly announced: BusMessage[];
}

/** The server's database. Everything of a tenant is reached inside a transaction that names the tenant. */
export class Store implements AsyncDisposable {
  readonly dialect: StoreDialect;
  /** Tables that belong to no organisation. Rows of tenants do not exist here on PostgreSQL. */
  readonly shared: Kysely<Tables>;
  readonly #clock: Clock;
  /** Of the embedded database alone: PostgreSQL has many connections and syncs for several of them at once. */
  readonly #group: GroupCommit | undefined;
  readonly #told = new Set<Pick<Bus, "publish">>();

  constructor(db: Kysely<Tables>, dialect: StoreDialect, clock: Clock) {
    this.shared = db;
    this.#group = dialect.name === "sqlite" ? new GroupCommit(db) : undefined;
    this.dialect = dialect;
    this.#clock = clock;
  }

  /** What transactions announce is published there once they are committed, until it is disposed. */
  announceTo(bus: Pick<Bus, "publish">): Disposable {
    this.#told.add(bus);
    return { [Symbol.dispose]: () => void this.#told.delete(bus) };
  }

  /**
   * Runs `work` in one transaction that sees the organisation's rows alone. What fails to serialise is tried again, so
   * `work` does nothing but read and write. It locks rows in one order, or PostgreSQL gives one of two up after a second:
   * members, their keys and sessions; desired state; nodes by id; credentials; commands by id; the organisation, which
   * audit entries and events lock, last. Fails with `state.write_failed` when the disk refuses.
   */
  inOrg<T>(orgId: string, work: (tx: OrgTransaction) => Promise<T>): Promise<T> {
    return this.#transact((entered) => this.#enter({ ...entered, orgId }, work));
  }

  /** The same for the organisation that a secret belongs to, found in the transaction; `undefined`: there is none. */
  inOrgOf<T>(kind: LookupKind, hash: Uint8Array, work: (tx: OrgTransaction) => Promise<T>): Promise<T | undefined> {
    return this.#transact(async (entered) => {
      const orgId = await findOrg(entered.db, kind, hash);
      return orgId === undefined ? undefined : this.#enter({ ...entered, orgId }, work);
    });
  }

  async #transact<T>(work: (entered: Entered) => Promise<T>): Promise<T> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await this.#attempt(work);
      } catch (failure) {
        if (attempt >= MAX_ATTEMPTS || !mayRetry(failure)) throw namedFailure(failure);
      }
    }
  }

  async #attempt<T>(work: (entered: Entered) => Promise<T>): Promise<T> {
    const announced: BusMessage[] = [];
    const begun = (db: Transaction<Tables>) => work({ db, announced });
    const done = await (this.#group?.run(begun) ?? this.shared.transaction().execute(begun));
    for (const bus of this.#told) for (const message of announced) bus.publish(message);
    return done;
  }

  async #enter<T>(
    { orgId, db, announced }: Entered & { readonly orgId: string },
    work: (tx: OrgTransaction) => Promise<T>,
  ): Promise<T> {
    if (this.dialect.name === "postgres") await setOrg(orgId).execute(db);
    const announce = (message: BusMessage) => void announced.push(message);
    return work(orgTransaction({ orgId, db, announce, dialect: this.dialect, now: () => this.#clock.now() }));
  }

  /** The organisation that a code, key, session or pin belongs to; `undefined`: none. */
  findOrg(kind: LookupKind, hash: Uint8Array): Promise<string | undefined> {
    return findOrg(this.shared, kind, hash);
  }

  findSetupCode(secretSha256: Uint8Array): Promise<{ readonly orgId: string | undefined } | undefined> {
    return findSetupCode(this.shared, secretSha256);
  }

  hasSetupCodes(): Promise<boolean> {
    return hasSetupCodes(this.shared);
  }

  addSetupCode(secretSha256: Uint8Array): Promise<void> {
    return addSetupCode(this.shared, secretSha256, this.#clock.now());
  }

  /** Codes that made no organisation make none any more. */
  async forgetSetupCodes(): Promise<void> {
    await this.shared.deleteFrom("setup_codes").where("org_id", "is", null).execute();
  }

  /** Every organisation, for what must be done in each in turn. */
  async orgIds(): Promise<readonly string[]> {
    const rows = await this.shared.selectFrom("lookups").select("org_id").where("kind", "=", "org_name").execute();
    return rows.map(({ org_id }) => org_id);
  }

  /** Inserts where nothing is yet; false when the same was there. For what may happen once. Fails as `inOrg` does. */
  async insertOnce(table: OnceTable, hash: Uint8Array, expiresAt: number): Promise<boolean> {
    const insert = (db: Kysely<Tables>) => insertOnce(db, table, { hash, expiresAt });
    try {
      return await (this.#group?.run(insert) ?? insert(this.shared));
    } catch (failure) {
      throw namedFailure(failure);
    }
  }

  /** Forgets what has expired. */
  async sweepShared(): Promise<void> {
    for (const table of ["spent_challenges", "seen_proofs"] as const) {
      await this.shared.deleteFrom(table).where("expires_at", "<", this.#clock.now()).execute();
    }
  }

  /** A fact of this installation; `undefined`: it was never stated. */
  async fact(name: FactName): Promise<string | undefined> {
    const all = this.shared.selectFrom("server_facts").select("value").where("name", "=", name);
    return (await all.executeTakeFirst())?.value;
  }

  /** States a fact that is not there yet, and returns the one that holds then. */
  async factOnce(name: FactName, value: string): Promise<string> {
    const row = this.shared.insertInto("server_facts").values({ name, value });
    await row.onConflict((on) => on.doNothing()).execute();
    return (await this.fact(name)) ?? value;
  }

  /** Puts a fact in place of the one that was read; false when it is another by now. */
  async replaceFact(name: FactName, before: string, value: string): Promise<boolean> {
    const one = this.shared.updateTable("server_facts").set({ value }).where("name", "=", name);
    return (await one.where("value", "=", before).executeTakeFirst()).numUpdatedRows === 1n;
  }

  /** States a fact, whatever held before. */
  async restateFact(name: FactName, value: string): Promise<void> {
    const row = this.shared.insertInto("server_facts").values({ name, value });
    await row.onConflict((on) => on.column("name").doUpdateSet({ value })).execute();
  }

  /** Fails when the database does not answer; changes nothing. */
  async ping(): Promise<void> {
    await sql`select 1`.execute(this.shared);
  }

  /** Fails when a write does not reach the database. For health. */
  async probe(): Promise<void> {
    const at = String(this.#clock.now());
    await sql`insert into server_facts (name, value) values ('probe', ${at})
      on conflict (name) do update set value = excluded.value`.execute(this.shared);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#group?.idle();
    await this.shared.destroy();
  }
}

async function findOrg(db: Kysely<Tables>, kind: LookupKind, hash: Uint8Array): Promise<string | undefined> {
  const all = db.selectFrom("lookups").select("org_id").where("kind", "=", kind);
  return (await all.where("sha256", "=", hash).executeTakeFirst())?.org_id;
}
