import type { Migration } from "./migration.ts";

/** What is asked for again and again in a large fleet: without these, each such question reads the rows of all nodes. */
export const nodeLookups: Migration = {
  name: "0007-node-lookups",
  isAdditive: true,
  tenantTables: [],
  statements: () => [
    "create index sessions_by_previous on sessions (previous_sha256) where previous_sha256 is not null",
    "create index enrollments_of_node on enrollments (org_id, node_id)",
    "create index commands_open_of_batch on commands (org_id, batch_id) where finished_at is null",
    "create index credential_nodes_of_node on credential_nodes (org_id, node_id)",
  ],
};
