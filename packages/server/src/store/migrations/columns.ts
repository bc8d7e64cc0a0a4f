import type { StoreDialect } from "../dialect.ts";

/** What every tenant's row begins with. */
export function tenantColumns({ text, integer }: StoreDialect): string {
  return `org_id ${text} not null references orgs (id), created_at ${integer} not null, updated_at ${integer} not null`;
}

/** For a column `member_id`. */
export const REFERENCES_MEMBER = "foreign key (member_id, org_id) references members (id, org_id)";
