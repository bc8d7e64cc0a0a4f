import { sql } from "kysely";

/** What the two databases spell differently. Everything else is one query layer and one set of migrations. */
export interface StoreDialect {
  readonly name: "sqlite" | "postgres";
  readonly text: string;
  readonly integer: string;
  readonly bytes: string;
  readonly real: string;
  /** What stands behind a table's columns: SQLite checks types in strict tables alone. */
  readonly tableEnd: string;
}

export const SQLITE: StoreDialect = {
  name: "sqlite",
  text: "text",
  integer: "integer",
  bytes: "blob",
  real: "real",
  tableEnd: "strict",
};

export const POSTGRES: StoreDialect = {
  name: "postgres",
  text: "text",
  integer: "bigint",
  bytes: "bytea",
  real: "double precision",
  tableEnd: "",
};

/** The setting of a PostgreSQL transaction that says whose rows it may see. */
export const ORG_SETTING = "gatehouse.org_id";

/** Names the organisation of the transaction. */
export const setOrg = (orgId: string) => sql`select set_config(${ORG_SETTING}, ${orgId}, true)`;
