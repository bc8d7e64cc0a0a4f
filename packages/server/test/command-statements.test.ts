import { makeUuid, systemClock, systemRandom } from "@gatehouse/core";
import { Kysely, SqliteDialect } from "kysely";
import { expect, test } from "vitest";
import type { CommandRecords } from "../src/commands/command-records.ts";
import { SQLITE } from "../src/store/dialect.ts";
import { migrate } from "../src/store/migrate.ts";
import { commandRecords } from "../src/store/records/command-records.ts";
import { openSqliteDatabase } from "../src/store/sqlite-database.ts";
import type { Tables } from "../src/store/tables.ts";
import { DATABASES } from "./databases.ts";

const id = makeUuid(systemClock.now(), systemRandom);
const WITHDRAWAL = { by: "ada", why: "cancelled", message: "" } as const;
const PAGE = { after: id, limit: 10 };

/** What is done while many others of the organisation have their end, for weeks. */
const ON_FEW: Readonly<Record<string, (commands: CommandRecords) => Promise<unknown>>> = {
  hold: (commands) => commands.hold([id]),
  listByKey: (commands) => commands.listByKey([id], "key"),
  holdByKey: (commands) => commands.holdByKey([id], "key"),
  listBatch: (commands) => commands.listBatch(id),
  countUnended: (commands) => commands.countUnended(id, 10),
  holdUnanswered: (commands) => commands.holdUnanswered(id),
  holdOverdue: (commands) => commands.holdOverdue({ unsent: 1, sent: 1 }, 10),
  requeueSent: (commands) => commands.requeueSent(id),
  listOpen: (commands) => commands.listOpen([id]),
  listCrowded: (commands) => commands.listCrowded([id], { all: 1, own: 1, actor: "ada" }),
  listCommanded: (commands) => commands.listCommanded([id]),
  "list of a node": (commands) => commands.list({ nodeId: id, isOpen: false }, PAGE),
  "list of what is open": (commands) => commands.list({ nodeId: undefined, isOpen: true }, PAGE),
  "withdraw of one": (commands) => commands.withdraw({ commandId: id }, WITHDRAWAL),
  "withdraw of an authority": (commands) => commands.withdraw({ authorities: ["key"], actor: "ada" }, WITHDRAWAL),
  "withdraw of a node": (commands) => commands.withdraw({ nodeId: id }, WITHDRAWAL),
};

test("the embedded database reads no more of an organisation's commands than a statement is about", async () => {
  await using place = await DATABASES[0].open();
  if (place.location.kind !== "sqlite") throw new Error("not the embedded database");
  const database = openSqliteDatabase(place.location.path);
  const said: string[] = [];
  const prepare = (text: string) => {
    said.push(text);
    return database.prepare(text);
  };
  await using db = new Kysely<Tables>({ dialect: new SqliteDialect({ database: { ...database, prepare } }) });
  await migrate(db, SQLITE, false);
  const plans: [string, string][] = [];
  for (const [name, work] of Object.entries(ON_FEW)) {
    said.length = 0;
    await db.transaction().execute((tx) => work(recordsOf(tx)));
    const statements = said.filter((text) => text.includes('"commands"'));
    expect(statements).not.toHaveLength(0);
    for (const text of statements) {
      const rows = database.prepare(`explain query plan ${text}`).all([]) as readonly { readonly detail: string }[];
      plans.push(...rows.map(({ detail }): [string, string] => [name, detail]));
    }
  }
  // Of all there ever were, by the organisation alone.
  expect(plans.filter(([, detail]) => /SCAN commands|\(org_id=\?\)/.test(detail))).toEqual([]);
  expect(plans.filter(([, detail]) => detail.startsWith("SEARCH commands")).length).toBeGreaterThan(10);
});

function recordsOf(db: Parameters<typeof commandRecords>[0]["db"]): CommandRecords {
  return commandRecords({ orgId: id, db, dialect: SQLITE, now: () => 1, announce: () => undefined });
}
