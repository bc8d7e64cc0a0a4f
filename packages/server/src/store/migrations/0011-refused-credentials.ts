import type { Migration } from "./migration.ts";

/** Which credentials of its bundle a node refuses while it serves the others: JSON of the list; null is none. */
export const refusedCredentials: Migration = {
  name: "0011-refused-credentials",
  isAdditive: true,
  tenantTables: [],
  statements: ({ text }) => [`alter table nodes add column refused_credentials ${text}`],
};
