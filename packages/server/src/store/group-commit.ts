import { CompiledQuery, type Kysely, type Transaction } from "kysely";
import type { Tables } from "./tables.ts";

type Work<T> = (db: Transaction<Tables>) => Promise<T>;

interface Waiting {
  readonly work: Work<unknown>;
  readonly resolve: (value: unknown) => void;
  readonly reject: (failure: unknown) => void;
}

/** How much of a group is done when its commit settles it. */
type Done = { readonly value: unknown } | { readonly failure: unknown };

/** Callers whose work shares a commit. The event loop turns between two groups. */
const MAX_GROUP = 64;
const [BEGIN_WORK, KEEP_WORK, UNDO_WORK] = ["savepoint work", "release work", "rollback to work"].map((text) =>
  CompiledQuery.raw(text),
) as [CompiledQuery, CompiledQuery, CompiledQuery];

/**
 * The one connection of the embedded database, shared: what came in one turn of the event loop is done one after the
 * other and committed together, so that a hundred callers wait for one sync of the disk. Nobody is answered before it.
 * What one of them does wrong is undone alone; a commit that fails fails them all.
 */
export class GroupCommit {
  readonly #db: Kysely<Tables>;
  #waiting: Waiting[] = [];
  #turn: Promise<void> | undefined;

  constructor(db: Kysely<Tables>) {
    this.#db = db;
  }

  /** Runs `work` in a transaction; resolves when it is committed. Fails as the work or the commit does. */
  run<T>(work: Work<T>): Promise<T> {
    const done = Promise.withResolvers<T>();
    this.#waiting.push({ work, resolve: (value) => done.resolve(value as T), reject: done.reject });
    this.#turn ??= this.#takeTurns();
    return done.promise;
  }

  /** Settles when nothing waits any more. */
  async idle(): Promise<void> {
    await this.#turn;
  }

  async #takeTurns(): Promise<void> {
    while (this.#waiting.length > 0) {
      await new Promise((resolve) => setImmediate(resolve));
      const group = this.#waiting.slice(0, MAX_GROUP);
      this.#waiting = this.#waiting.slice(MAX_GROUP);
      await this.#commit(group);
    }
    this.#turn = undefined;
  }

  async #commit(group: readonly Waiting[]): Promise<void> {
    try {
      const done = await this.#db.transaction().execute((db) => doAll(db, group));
      for (const [at, { resolve, reject }] of group.entries()) settle(done[at], { resolve, reject });
    } catch (failure) {
      for (const { reject } of group) reject(failure);
    }
  }
}

/** One alone needs no savepoint: what it does wrong undoes the transaction. */
async function doAll(db: Transaction<Tables>, group: readonly Waiting[]): Promise<readonly Done[]> {
  const [only, ...others] = group;
  if (only !== undefined && others.length === 0) return [{ value: await only.work(db) }];
  const done: Done[] = [];
  for (const { work } of group) done.push(await doOne(db, work));
  return done;
}

/** A disk that fails takes the whole transaction away, and with it the savepoint: then undoing fails too, for all. */
async function doOne(db: Transaction<Tables>, work: Work<unknown>): Promise<Done> {
  await db.executeQuery(BEGIN_WORK);
  try {
    const value = await work(db);
    await db.executeQuery(KEEP_WORK);
    return { value };
  } catch (failure) {
    await db.executeQuery(UNDO_WORK).catch(() => {
      throw failure;
    });
    await db.executeQuery(KEEP_WORK);
    return { failure };
  }
}

function settle(done: Done | undefined, { resolve, reject }: Pick<Waiting, "resolve" | "reject">): void {
  if (done === undefined) reject(new Error("a group was done in part"));
  else if ("failure" in done) reject(done.failure);
  else resolve(done.value);
}
