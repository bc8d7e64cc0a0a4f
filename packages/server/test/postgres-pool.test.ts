import { openFaultProxy, openPostgres } from "@gatehouse/testbed";
import type { PostgresPool } from "kysely";
import { expect, test } from "vitest";
import { openPostgresPool } from "../src/store/postgres-pool.ts";
import { namedFailure } from "../src/store/store-failures.ts";

const TIMES = { statementMs: 300, answerMs: 600, idleMs: 10_000 } as const;

async function ask(pool: PostgresPool, sql: string): Promise<unknown> {
  const client = await pool.connect();
  try {
    return (await client.query(sql, [])).rows;
  } finally {
    client.release();
  }
}

test("an answer that does not come is waited for so long alone, and connections as old are given up with it", async () => {
  await using postgres = await openPostgres();
  await using proxy = await openFaultProxy(() => ({ path: postgres.socketPath }));
  const pool = await openPostgresPool(postgres.urlBy(proxy.port), TIMES);
  await Promise.all(Array.from({ length: 4 }, () => ask(pool, "select pg_sleep(0.05)")));
  expect(proxy.accepted).toBe(4);
  proxy.vanish();
  const startedMs = performance.now();
  await expect(ask(pool, "select 1 as one")).rejects.toMatchObject({ code: "store.unreachable" });
  // One wait for all four, not one for each.
  expect(await ask(pool, "select 1 as one")).toEqual([{ one: 1 }]);
  expect(performance.now() - startedMs).toBeLessThan(2 * TIMES.answerMs);
  expect(proxy.accepted).toBe(5);
  await pool.end();
});

test("a statement that takes too long is ended by the database, and its connection lives on", async () => {
  await using postgres = await openPostgres();
  await using proxy = await openFaultProxy(() => ({ path: postgres.socketPath }));
  const pool = await openPostgresPool(postgres.urlBy(proxy.port), TIMES);
  const failure = await ask(pool, "select pg_sleep(5)").catch(namedFailure);
  expect(failure).toMatchObject({ code: "store.busy", cause: { code: "57014" } });
  expect(await ask(pool, "select 1 as one")).toEqual([{ one: 1 }]);
  expect(proxy.accepted).toBe(1);
  await pool.end();
});

test("a transaction that stands still is given up by the database: what it locked is another's before that one gives up", async () => {
  await using postgres = await openPostgres();
  await postgres.sql("create table rows as select 1 as id; grant all on rows to public");
  const times = { statementMs: 10_000, answerMs: 15_000, idleMs: 500 };
  const [stopped, other] = [
    await openPostgresPool(postgres.url(), times),
    await openPostgresPool(postgres.url(), times),
  ];
  const client = await stopped.connect();
  await client.query("begin", []);
  await client.query("update rows set id = 2", []);
  expect(await ask(other, "update rows set id = id + 2 returning id")).toEqual([{ id: 3 }]);
  await expect(client.query("commit", [])).rejects.toMatchObject({ code: "store.unreachable" });
  client.release();
  expect(await ask(stopped, "select id from rows")).toEqual([{ id: 3 }]);
  await Promise.all([stopped.end(), other.end()]);
});
