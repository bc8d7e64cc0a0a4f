import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Kysely, SqliteDialect, sql, type Transaction } from "kysely";
import { expect, test } from "vitest";
import { SQLITE } from "../src/store/dialect.ts";
import { GroupCommit } from "../src/store/group-commit.ts";
import { migrate } from "../src/store/migrate.ts";
import { openSqliteDatabase } from "../src/store/sqlite-database.ts";
import type { Tables } from "../src/store/tables.ts";

test("what comes in one turn is committed once, and each sees what those before it wrote", async () => {
  await using opened = await openDatabase();
  const { group, insert, commits } = opened;
  const before = commits();
  const seen = await Promise.all([1, 2, 3].map((at) => group.run(insert(at))));
  expect(seen).toEqual([1, 2, 3]);
  expect(commits() - before).toBe(1);
});

test("what one of a group does wrong is undone alone", async () => {
  await using opened = await openDatabase();
  const { group, insert, count } = opened;
  const wrong = group.run(async (db) => {
    await insert(2)(db);
    throw new RangeError("wrong");
  });
  const settled = await Promise.allSettled([group.run(insert(1)), wrong, group.run(insert(3))]);
  expect(settled.map(({ status }) => status)).toEqual(["fulfilled", "rejected", "fulfilled"]);
  expect(await count()).toBe(2);
});

test("one that is alone and fails leaves nothing behind", async () => {
  await using opened = await openDatabase();
  const { group, insert, count } = opened;
  const wrong = group.run(async (db) => {
    await insert(1)(db);
    throw new RangeError("wrong");
  });
  await expect(wrong).rejects.toThrow(RangeError);
  expect(await count()).toBe(0);
});

test("nobody of a group whose commit fails is told that it succeeded, and the next group goes on", async () => {
  await using opened = await openDatabase();
  const { group, insert, count } = opened;
  const unknownOrg = group.run(async (db) => {
    await sql`pragma defer_foreign_keys = on`.execute(db);
    const stamps = { org_id: "nobody", created_at: 1, updated_at: 1 };
    const policy = { id: "p", name: "p", document: "{}", actor: "a", version: 1, labels: "{}" };
    await db
      .insertInto("policies")
      .values({ ...stamps, ...policy })
      .execute();
  });
  const settled = await Promise.allSettled([group.run(insert(1)), unknownOrg, group.run(insert(2))]);
  expect(settled.map(({ status }) => status)).toEqual(["rejected", "rejected", "rejected"]);
  expect(await count()).toBe(0);
  await group.run(insert(3));
  expect(await count()).toBe(1);
});

test("on a full disk each of a group is told why, alone or not, and the next goes on once there is room", async () => {
  await using opened = await openDatabase();
  const { group, insert, count, limitPages } = opened;
  const tooMany = () => group.run(insertAll);
  const insertAll = async (db: Transaction<Tables>) => {
    for (let at = 10; at < 250; at += 1) await insert(at)(db);
  };
  await limitPages(1);
  await expect(tooMany()).rejects.toThrow("full");
  const settled = await Promise.allSettled([group.run(insert(1)), tooMany(), group.run(insert(2))]);
  expect(settled.map((one) => one.status === "rejected" && String(one.reason))).toEqual(
    Array.from(settled, () => expect.stringContaining("full")),
  );
  expect(await count()).toBe(0);
  await limitPages(10_000);
  await tooMany();
});

test("more than a group holds is all done, in order", async () => {
  await using opened = await openDatabase();
  const { group, insert } = opened;
  const seen = await Promise.all(Array.from({ length: 200 }, (_, at) => group.run(insert(at))));
  expect(seen).toEqual(Array.from({ length: 200 }, (_, at) => at + 1));
});

async function openDatabase() {
  const directory = await mkdtemp(join(tmpdir(), "gatehouse-group-"));
  let committed = 0;
  const db = new Kysely<Tables>({
    dialect: new SqliteDialect({ database: openSqliteDatabase(join(directory, "server.db")) }),
    log: ({ query }) => {
      if (query.sql === "commit") committed += 1;
    },
  });
  await migrate(db, SQLITE, false);
  const group = new GroupCommit(db);
  const countIn = async (within: Kysely<Tables>) => {
    const all = within.selectFrom("seen_proofs").select(({ fn }) => fn.countAll<number>().as("count"));
    return Number((await all.executeTakeFirstOrThrow()).count);
  };
  return {
    group,
    commits: () => committed,
    count: () => countIn(db),
    /** As a disk with room for so many pages, at least those that are there. */
    limitPages: (count: number) => sql.raw(`pragma max_page_count = ${count}`).execute(db),
    /** Answers how many there are then. */
    insert: (at: number) => async (within: Kysely<Tables>) => {
      const hash = new Uint8Array(32).fill(at);
      await within.insertInto("seen_proofs").values({ sha256: hash, expires_at: at }).execute();
      return countIn(within);
    },
    [Symbol.asyncDispose]: async () => {
      await group.idle();
      await db.destroy();
      await rm(directory, { recursive: true });
    },
  };
}
