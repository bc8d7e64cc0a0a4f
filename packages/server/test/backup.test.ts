import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock, systemRandom } from "@gatehouse/core";
import { sql } from "kysely";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { readBackupFile, writeBackupFile } from "../src/backup/backup-file.ts";
import { createBackup, restoreBackup } from "../src/index.ts";
import { openServerKeys } from "../src/keys/server-keys.ts";
import { connectForMaintenance } from "../src/store/open-store.ts";
import { DATABASES, type TestDatabase } from "./databases.ts";
import { FleetUnderTest, type OrgUnderTest } from "./fleet-under-test.ts";

const WAYS = DATABASES.flatMap((from) => DATABASES.map((to) => ({ from, to, name: `${from.name} to ${to.name}` })));

const plain = (value: unknown) => (value instanceof Uint8Array ? Buffer.from(value).toString("hex") : value);

/** All rows of all tables of a database that a restore must bring back. */
async function contents(database: TestDatabase, orgId: string) {
  await using store = await connectForMaintenance(database.location, systemClock);
  return await store.shared.transaction().execute(async (tx) => {
    if (store.dialect.name === "postgres") await sql`select set_config('gatehouse.org_id', ${orgId}, true)`.execute(tx);
    const tables = ["orgs", "members", "nodes", "api_keys", "rosters", "audit_entries"];
    const all: Record<string, readonly string[]> = {};
    for (const table of tables) {
      const { rows } = await sql<Record<string, unknown>>`select * from ${sql.table(table)}`.execute(tx);
      all[table] = rows.map((row) => JSON.stringify(Object.values(row).map(plain))).sort();
    }
    return all;
  });
}

test("of two backups to one file at once the one that began last is whole there; the other says so", async () => {
  const directory = mkdtempSync(join(tmpdir(), "gatehouse-backup-"));
  const file = join(directory, "backup");
  const [begun, goOn] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const slow = async function* () {
    yield { gatehouse_backup: 1 as const, made_at: 1, steps: [] };
    begun.resolve();
    await goOn.promise;
  };
  const first = writeBackupFile(file, slow());
  await begun.promise;
  let halfway = false;
  const quick = async function* () {
    yield { gatehouse_backup: 1 as const, made_at: 2, steps: [] };
    goOn.resolve();
    await expect(first).rejects.toMatchObject({ code: "backup.busy" });
    halfway = existsSync(file);
  };
  await writeBackupFile(file, quick());
  expect(halfway).toBe(false);
  const lines = await Array.fromAsync(readBackupFile(file));
  expect(lines).toMatchObject([{ made_at: 2 }]);
  rmSync(directory, { recursive: true, force: true });
});

describe.each(WAYS)("from $name", ({ from, to }) => {
  let source: TestDatabase;
  let target: TestDatabase;
  let fleet: FleetUnderTest;
  let org: OrgUnderTest;
  let directory: string;

  beforeAll(async () => {
    directory = mkdtempSync(join(tmpdir(), "gatehouse-backup-"));
    source = await from.open();
    target = await to.open();
    fleet = await FleetUnderTest.open(source.location);
    org = await fleet.createOrg("acme");
  });

  afterAll(async () => {
    await fleet[Symbol.asyncDispose]();
    await source[Symbol.asyncDispose]();
    await target[Symbol.asyncDispose]();
    rmSync(directory, { recursive: true, force: true });
  });

  test("a running server is backed up and put back elsewhere: same rows, same identity, a new epoch", async () => {
    const host = await org.enroll("n1");
    const open = await org.createCode("n2");
    const file = join(directory, "backup");
    await using running = await connectForMaintenance(source.location, systemClock);
    await running.restateFact("leaked_epoch", "0");
    await running.restateFact("leaked_epoch", "1");
    await createBackup({ directory: fleet.directory, store: source.location, out: file }, systemClock);
    expect(statSync(file).mode & 0o777).toBe(0o600);
    const restored = join(directory, "server");
    const postgresUrl = target.location.kind === "postgres" ? target.location.url : undefined;
    const deps = { clock: systemClock, random: systemRandom };
    const restoring = restoreBackup({ file, directory: restored, postgresUrl }, deps);
    // A second one beside it takes nothing from it.
    const beside = restoreBackup({ file, directory: restored, postgresUrl }, deps);
    await expect(beside).rejects.toMatchObject({ code: "backup.busy" });
    expect(await restoring).toBe(2);
    const keyDeps = { now: () => 0, randomBytes: (length: number) => systemRandom.bytes(length) };
    const [before, after] = [await openServerKeys(fleet.directory, keyDeps), await openServerKeys(restored, keyDeps)];
    expect(after.identityKey).toEqual(before.identityKey);
    expect(after.keySet).toMatchObject({ epoch: 2 });
    expect(after.tlsCa.certificatePem).not.toBe(before.tlsCa.certificatePem);
    const location =
      postgresUrl === undefined ? { kind: "sqlite" as const, path: join(restored, "server.db") } : target.location;
    const there = await contents({ ...target, location }, org.orgId);
    const here = await contents(source, org.orgId);
    expect(there.orgs).toEqual(here.orgs);
    expect(there.members).toEqual(here.members);
    expect(there.rosters).toEqual(here.rosters);
    expect(there.api_keys).toEqual(here.api_keys);
    expect(there.nodes?.join()).toContain(host.registered.nodeId);
    expect(there.audit_entries?.slice(0, here.audit_entries?.length).length).toBe(here.audit_entries?.length);
    expect(there.audit_entries?.join()).toContain("server.epoch_opened");
    await using put = await connectForMaintenance(location, systemClock);
    expect(await put.fact("leaked_epoch")).toBe("1");
    await using again = await FleetUnderTest.open(location, { directory: restored });
    const clients = Object.assign(org, { fleet: again });
    expect((await clients.nodes.listNodes({}, org.headers)).nodes).toMatchObject([{ name: "n1", state: 2 }]);
    expect((await clients.nodes.listEnrollmentCodes({}, org.headers)).enrollments).toEqual([]);
    expect(open).toMatch(/^ghe_/);
    const fresh = await clients.createCode("n3");
    expect(fresh).toMatch(/^ghe_/);
    Object.assign(org, { fleet });
  });

  test("a backup that was cut or changed is refused, and nothing is there", async () => {
    const whole = join(directory, "whole");
    await createBackup({ directory: fleet.directory, store: source.location, out: whole }, systemClock);
    const bytes = readFileSync(whole);
    const changed = Buffer.from(bytes);
    changed[200] = (changed[200] ?? 0) ^ 1;
    const into = join(directory, "nowhere");
    for (const data of [bytes.subarray(0, bytes.length - 40), changed, Buffer.alloc(0)]) {
      const file = join(directory, "broken");
      writeFileSync(file, data);
      const restoring = restoreBackup(
        { file, directory: into, postgresUrl: undefined },
        { clock: systemClock, random: systemRandom },
      );
      await expect(restoring).rejects.toMatchObject({ code: "backup.unreadable" });
      expect(existsSync(into)).toBe(false);
      expect(existsSync(`${into}.partial`)).toBe(false);
    }
  });

  test("nothing is put back over a server that is there", async () => {
    const file = join(directory, "whole");
    const restoring = restoreBackup(
      { file, directory: fleet.directory, postgresUrl: undefined },
      { clock: systemClock, random: systemRandom },
    );
    await expect(restoring).rejects.toMatchObject({ code: "backup.occupied" });
    expect((await org.org.getOrg({}, org.headers)).name).toBe("acme");
  });
});
