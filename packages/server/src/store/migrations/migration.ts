import type { StoreDialect } from "../dialect.ts";

/** One step of the schema. Steps are only added: there is no way back but a backup. */
export interface Migration {
  /** Four digits and what it brings; the order of names is the order of steps. */
  readonly name: string;
  /** Whether servers of the release before go on working beside it; start applies such steps by itself. */
  readonly isAdditive: boolean;
  /** New tables whose rows belong to an organisation; the database itself hides them from the others. */
  readonly tenantTables: readonly string[];
  readonly statements: (dialect: StoreDialect) => readonly string[];
}
