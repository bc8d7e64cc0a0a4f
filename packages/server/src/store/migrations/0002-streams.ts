import type { Migration } from "./migration.ts";

/** What is known of a node's control stream, and of the boots behind it. */
export const streams: Migration = {
  name: "0002-streams",
  isAdditive: true,
  tenantTables: [],
  statements: ({ text, integer }) => [
    `alter table nodes add column previous_boot_id ${text}`,
    `alter table nodes add column liveness ${text} check (liveness in ('online', 'stale', 'offline'))`,
    `alter table nodes add column stream_id ${text}`,
    `alter table nodes add column connected_until ${integer}`,
    "create index nodes_by_liveness on nodes (org_id, liveness, last_seen_at) where deleted_at is null",
  ],
};
