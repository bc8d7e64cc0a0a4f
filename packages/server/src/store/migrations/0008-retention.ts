import type { Migration } from "./migration.ts";

/** What has ended is looked for by when: without these, each sweep reads all that is kept. */
export const retention: Migration = {
  name: "0008-retention",
  isAdditive: true,
  tenantTables: [],
  statements: () => [
    "create index runs_by_end on runs (org_id, ended_at) where ended_at is not null",
    "create index commands_by_end on commands (org_id, finished_at) where finished_at is not null",
  ],
};
