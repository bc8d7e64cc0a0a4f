import type { Migration } from "./migration.ts";

/** By what a command was given, and who took it back; and the commands of an organisation by age, as they are listed. */
export const commandAuthority: Migration = {
  name: "0009-command-authority",
  isAdditive: true,
  tenantTables: [],
  statements: ({ text }) => [
    `alter table commands add column authority ${text}`,
    `alter table commands add column withdrawn_by ${text}`,
    `alter table commands add column withdrawn_why ${text}`,
    "create index commands_by_age on commands (org_id, id)",
  ],
};
