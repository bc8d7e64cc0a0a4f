import { type RawBuilder, sql } from "kysely";
import type { RecordScope } from "./record-scope.ts";

/**
 * The order of ids for rows that other conditions make few. SQLite keeps no figures of what they leave, and would read
 * all rows of an organisation in the index that has this order, where sorting a handful is nothing.
 */
export function fewById({ dialect }: Pick<RecordScope, "dialect">): RawBuilder<string> {
  return dialect.name === "postgres" ? sql<string>`id` : sql<string>`+id`;
}
