import type { Migration } from "./migration.ts";

/** What a node's heartbeats say of logs: where its own stands, and which head of the organisation's it has seen. */
export const witnesses: Migration = {
  name: "0005-witnesses",
  isAdditive: true,
  tenantTables: ["audit_witnesses"],
  statements: ({ text, integer, bytes }) => [
    `create table audit_witnesses (
      org_id ${text} not null references orgs (id),
      created_at ${integer} not null,
      updated_at ${integer} not null,
      node_id ${text} not null,
      subject ${text} not null check (subject in ('node', 'org')),
      log ${text} not null,
      size ${integer} not null,
      root ${bytes} not null check (length(root) = 32),
      time ${integer} not null,
      key ${bytes} not null check (length(key) = 32),
      signature ${bytes} not null check (length(signature) = 64),
      primary key (org_id, node_id, subject),
      foreign key (node_id, org_id) references nodes (id, org_id)
    )`,
    `alter table audit_heads add column peaks ${bytes}`,
    `alter table nodes add column health ${text} check (health in ('ok', 'degraded'))`,
    `alter table nodes add column spool_depth ${integer} not null default 0`,
    `alter table nodes add column applied_at ${integer}`,
    `alter table nodes add column audit_fault ${text} check (audit_fault in ('rewound', 'forked', 'unproven'))`,
  ],
};
