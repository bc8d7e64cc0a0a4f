import { systemClock } from "@gatehouse/core";
import { openPostgres } from "@gatehouse/testbed";
import { sql } from "kysely";
import { expect, test } from "vitest";
import { migrateDatabase } from "../src/index.ts";
import { openStore } from "../src/store/open-store.ts";
import { DATABASES } from "./databases.ts";
import { FleetUnderTest } from "./fleet-under-test.ts";

test.each(DATABASES)("on $name the plan shows the SQL and changes nothing", async ({ open }) => {
  await using database = await open();
  const plan = { isPlanOnly: true, grantTo: undefined };
  const shown = await migrateDatabase(database.location, plan, systemClock);
  expect(shown.steps[0]).toBe("0001-foundation");
  expect(shown.sql.some((statement) => statement.startsWith("create table nodes"))).toBe(true);
  const done = await migrateDatabase(database.location, { ...plan, isPlanOnly: false }, systemClock);
  expect(done).toEqual(shown);
  expect(await migrateDatabase(database.location, plan, systemClock)).toEqual({ steps: [], sql: [] });
});

test("a role that owns nothing serves what its owner migrated, and can change no table", async () => {
  await using postgres = await openPostgres();
  await postgres.sql("create role serving login");
  const serving = { kind: "postgres", url: postgres.url("serving") } as const;
  const early = openStore(serving, systemClock);
  await expect(early).rejects.toMatchObject({ code: "store.migration_needed" });
  const owner = { kind: "postgres", url: postgres.url() } as const;
  await migrateDatabase(owner, { isPlanOnly: false, grantTo: "serving" }, systemClock);
  await using fleet = await FleetUnderTest.open(serving);
  const org = await fleet.createOrg("acme");
  await org.enroll("n1");
  await using store = await openStore(serving, systemClock);
  for (const forbidden of [
    "create table mine (id text)",
    "drop table nodes",
    "alter table nodes disable row level security",
    "drop policy own_org on nodes",
    "insert into migrations (name) values ('x')",
    "truncate nodes",
  ]) {
    await expect(sql.raw(forbidden).execute(store.shared)).rejects.toMatchObject({ code: "42501" });
  }
});

test.each(["x; drop table nodes", 'a"b', ""])("%j is no role to grant to", async (grantTo) => {
  await using postgres = await openPostgres();
  const asked = migrateDatabase({ kind: "postgres", url: postgres.url() }, { isPlanOnly: false, grantTo }, systemClock);
  await expect(asked).rejects.toMatchObject({ code: "usage.invalid" });
  expect(await postgres.sql("select count(*) from pg_tables where schemaname = 'public'")).toBe("0\n");
});
