import { type RawBuilder, sql } from "kysely";
import type { RecordScope } from "./record-scope.ts";

/** That a column holds one of these texts: one statement, prepared once, however many they are. */
export function isAmong({ dialect }: RecordScope, column: string, texts: readonly string[]): RawBuilder<boolean> {
  const own = sql.ref(column);
  return dialect.name === "postgres"
    ? sql<boolean>`${own} = any(${texts}::text[])`
    : sql<boolean>`${own} in (select value from json_each(${JSON.stringify(texts)}))`;
}
