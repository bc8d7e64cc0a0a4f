import { existsSync } from "node:fs";
import { join } from "node:path";
import { create, toBinary } from "@bufbuild/protobuf";
import { systemClock, systemRandom } from "@gatehouse/core";
import { openPostgres } from "@gatehouse/testbed";
import { CommandPayloadSchema } from "@gatehouse/wire";
import { sql } from "kysely";
import { expect, test } from "vitest";
import { createBackup, migrateDatabase, restoreBackup } from "../src/index.ts";
import { connectForMaintenance, openStore } from "../src/store/open-store.ts";
import { DATABASES, type TestDatabase } from "./databases.ts";
import { FleetUnderTest, OrgUnderTest } from "./fleet-under-test.ts";

const PING = toBinary(CommandPayloadSchema, create(CommandPayloadSchema, { kind: { case: "ping", value: {} } }));

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

/** Takes the newest steps back, as if a release before them had been the last at the database. */
async function goBack({ location }: TestDatabase): Promise<void> {
  const indexes = "runs_by_end commands_by_end sessions_by_previous enrollments_of_node commands_open_of_batch";
  await using store = await connectForMaintenance(location, systemClock);
  for (const statement of [
    ...`${indexes} credential_nodes_of_node commands_by_age`.split(" ").map((name) => `drop index ${name}`),
    ...["version", "labels", "actor"].map((name) => `alter table policies drop column ${name}`),
    "alter table nodes drop column refused_credentials",
    ...["authority", "withdrawn_by", "withdrawn_why"].map((name) => `alter table commands drop column ${name}`),
    "drop table policy_versions",
    "drop table audit_copies",
    "delete from migrations where name > '0006'",
  ]) {
    await sql.raw(statement).execute(store.shared);
  }
}

test.each(DATABASES)(
  "on $name an earlier release's database, and its backup, are brought up to date with their rows",
  async ({ open }) => {
    await using database = await open();
    await using other = await open();
    await using before = await FleetUnderTest.open(database.location);
    const org = await before.createOrg("acme");
    const { nodeId } = (await org.enroll("n1")).registered;
    const asked = { nodeIds: [nodeId], payload: PING, idempotencyKey: "k" };
    const { batchId } = await org.nodes.sendCommand(asked, org.headers);
    await before.stop();
    await goBack(database);

    const file = join(before.directory, "backup");
    await createBackup({ directory: before.directory, store: database.location, out: file }, systemClock);
    const restored = join(before.directory, "restored");
    const postgresUrl = other.location.kind === "postgres" ? other.location.url : undefined;
    await restoreBackup({ file, directory: restored, postgresUrl }, { clock: systemClock, random: systemRandom });
    const path = join(restored, "server.db");
    const putBack = postgresUrl === undefined ? ({ kind: "sqlite", path } as const) : other.location;
    for (const [location, directory] of [
      [database.location, before.directory],
      [putBack, restored],
    ] as const) {
      const after = await FleetUnderTest.open(location, { directory });
      const { nodes, headers } = new OrgUnderTest(after, org);
      expect((await nodes.listNodes({}, headers)).nodes).toMatchObject([{ id: nodeId, name: "n1" }]);
      expect((await nodes.listCommands({ batchId }, headers)).commands).toHaveLength(1);
      await after.stop();
    }
    expect(await migrateDatabase(database.location, { isPlanOnly: true, grantTo: undefined }, systemClock)).toEqual({
      steps: [],
      sql: [],
    });
  },
);

test("a database that a newer release has been at is not backed up in part", async () => {
  await using database = await DATABASES[0].open();
  await using fleet = await FleetUnderTest.open(database.location);
  await using store = await connectForMaintenance(database.location, systemClock);
  await sql`insert into migrations (name) values ('9999-later')`.execute(store.shared);
  const out = join(fleet.directory, "backup");
  const made = createBackup({ directory: fleet.directory, store: database.location, out }, systemClock);
  await expect(made).rejects.toMatchObject({ code: "backup.newer_database" });
  expect(existsSync(out)).toBe(false);
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

test.each(["x; drop table nodes", 'a"b', "", "nobody_here"])("%j is no role to grant to", async (grantTo) => {
  await using postgres = await openPostgres();
  const asked = migrateDatabase({ kind: "postgres", url: postgres.url() }, { isPlanOnly: false, grantTo }, systemClock);
  await expect(asked).rejects.toMatchObject({ code: "usage.invalid" });
  expect(await postgres.sql("select count(*) from pg_tables where schemaname = 'public'")).toBe("0\n");
});
