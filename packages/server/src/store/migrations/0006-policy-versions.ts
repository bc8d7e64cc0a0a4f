import type { Migration } from "./migration.ts";

/** Which versions a policy had, by whom, and which nodes it holds. */
export const policyVersions: Migration = {
  name: "0006-policy-versions",
  isAdditive: true,
  tenantTables: ["policy_versions"],
  statements: ({ text, integer }) => [
    `create table policy_versions (
      org_id ${text} not null references orgs (id),
      created_at ${integer} not null,
      updated_at ${integer} not null,
      name ${text} not null,
      version ${integer} not null check (version > 0),
      document ${text} not null,
      actor ${text} not null,
      primary key (org_id, name, version)
    )`,
    `alter table policies add column version ${integer} not null default 0`,
    `alter table policies add column labels ${text} not null default '{}'`,
    `alter table policies add column actor ${text} not null default ''`,
  ],
};
