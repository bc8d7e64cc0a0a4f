import { systemClock } from "@gatehouse/core";
import { openStateDirectory } from "@gatehouse/kit";
import { migrateDatabase } from "@gatehouse/server";
import { type Invocation, isSet, textOption } from "../invocation.ts";
import { storeLocation } from "../server/store-location.ts";
import { printJson, printLine } from "../terminal/print.ts";

/** Brings the database up to date, or shows by which SQL it would be. */
export async function serverMigrate(invocation: Invocation): Promise<number> {
  const state = await openStateDirectory(invocation.config.state.dir);
  const store = await storeLocation(invocation, await state.directory("server"));
  const isPlanOnly = isSet(invocation, "plan");
  const { steps, sql } = await migrateDatabase(
    store,
    { isPlanOnly, grantTo: textOption(invocation, "grantTo") },
    systemClock,
  );
  if (isSet(invocation, "json")) {
    printJson({ applied: !isPlanOnly, steps, sql });
    return 0;
  }
  if (isPlanOnly) {
    if (sql.length === 0) printLine("-- The database is up to date.");
    for (const statement of sql) printLine(`${statement};`);
  } else printLine(steps.length === 0 ? "The database is up to date." : `Applied ${steps.join(", ")}.`);
  return 0;
}
