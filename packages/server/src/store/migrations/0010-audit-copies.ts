import type { Migration } from "./migration.ts";

/** Who writes a copy of a node's log that takes several transactions, until it is whole. */
export const auditCopies: Migration = {
  name: "0010-audit-copies",
  isAdditive: true,
  tenantTables: ["audit_copies"],
  statements: ({ text, integer }) => [
    `create table audit_copies (
      org_id ${text} not null references orgs (id),
      created_at ${integer} not null,
      updated_at ${integer} not null,
      node_id ${text} not null,
      writer ${text} not null,
      primary key (org_id, node_id),
      foreign key (node_id, org_id) references nodes (id, org_id)
    )`,
  ],
};
