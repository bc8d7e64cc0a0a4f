import { systemClock } from "@gatehouse/core";
import { sql } from "kysely";
import { expect, test } from "vitest";
import { SQLITE } from "../src/store/dialect.ts";
import { MIGRATIONS, migrationSql } from "../src/store/migrations/plan.ts";
import { connectStore, openStore } from "../src/store/open-store.ts";
import { DATABASES } from "./databases.ts";

const [sqlite, postgres] = DATABASES;

test("every table of a tenant refers to others together with its organisation", () => {
  const tenant = new Set(MIGRATIONS.flatMap(({ tenantTables }) => tenantTables));
  const statements = MIGRATIONS.flatMap((migration) => migrationSql(migration, SQLITE));
  const bare = statements.flatMap((text) => {
    const [, table = ""] = /^create table (\w+)/.exec(text) ?? [];
    if (!tenant.has(table)) return [];
    const references = [...text.matchAll(/references (\w+) \(([^)]*)\)/g)];
    return references
      .filter(([, to, columns]) => to !== "orgs" && columns !== "id, org_id")
      .map(([whole]) => `${table}: ${whole}`);
  });
  expect(bare).toEqual([]);
  expect(statements.filter((text) => /set null|on delete/.test(text))).toEqual([]);
});

test("every table that holds rows of an organisation is one of a tenant, but for what finds the organisation", () => {
  const tenant = new Set(MIGRATIONS.flatMap(({ tenantTables }) => tenantTables));
  const finds = new Set(["setup_codes", "lookups"]);
  const uncovered = MIGRATIONS.flatMap((migration) => migrationSql(migration, SQLITE)).flatMap((text) => {
    const [, table = ""] = /^create table (\w+)/.exec(text) ?? [];
    const isCovered = tenant.has(table) || finds.has(table) || !/\borg_id\b/.test(text);
    return table === "" || isCovered ? [] : [table];
  });
  expect(uncovered).toEqual([]);
});

test("a database whose steps are all there is left alone", async () => {
  await using database = await sqlite.open();
  await using first = await openStore(database.location, systemClock);
  void first;
  await using second = await openStore(database.location, systemClock);
  expect((await sql`select name from migrations`.execute(second.shared)).rows).toEqual(
    MIGRATIONS.map(({ name }) => ({ name })),
  );
});

test("PostgreSQL itself hides rows of other organisations, and refuses to write them", async () => {
  await using database = await postgres.open();
  await using store = await openStore(database.location, systemClock);
  const org = {
    id: "a",
    name: "a",
    orgKey: new Uint8Array(32),
    orgEncryptionKey: new Uint8Array(32),
    createdBySha256: new Uint8Array(32),
  };
  await store.inOrg("a", (tx) => tx.org.insert(org));
  const seen = (setting: string) =>
    store.shared.transaction().execute(async (tx) => {
      await sql`select set_config('gatehouse.org_id', ${setting}, true)`.execute(tx);
      return (await sql`select id from orgs`.execute(tx)).rows.length;
    });
  expect(await seen("a")).toBe(1);
  expect(await seen("b")).toBe(0);
  expect((await sql`select id from orgs`.execute(store.shared)).rows).toEqual([]);
  const foreign = store.inOrg("b", (tx) => tx.org.insert({ ...org, id: "c", name: "c" }));
  await expect(foreign).rejects.toThrow(/check|row-level security/);
  const asOther = store.shared.transaction().execute(async (tx) => {
    await sql`select set_config('gatehouse.org_id', 'b', true)`.execute(tx);
    const values = sql`'m', 'a', 1, 1, 'eve', 'owner'`;
    await sql`insert into members (id, org_id, created_at, updated_at, name, role) values (${values})`.execute(tx);
  });
  await expect(asOther).rejects.toThrow(/row-level security/);
});

test("a role that may pass over row-level security is refused", async () => {
  await using database = await postgres.open();
  if (database.location.kind !== "postgres") throw new Error("another database");
  const url = database.location.url.replace("//gatehouse@", "//postgres@");
  await expect(connectStore({ kind: "postgres", url }, systemClock)).rejects.toMatchObject({
    code: "store.role_too_strong",
  });
});
