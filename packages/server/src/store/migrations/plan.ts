import { ORG_SETTING, type StoreDialect } from "../dialect.ts";
import { foundation } from "./0001-foundation.ts";
import { streams } from "./0002-streams.ts";
import { people } from "./0003-people.ts";
import { passwords } from "./0004-passwords.ts";
import { witnesses } from "./0005-witnesses.ts";
import { policyVersions } from "./0006-policy-versions.ts";
import { nodeLookups } from "./0007-node-lookups.ts";
import { retention } from "./0008-retention.ts";
import { commandAuthority } from "./0009-command-authority.ts";
import { auditCopies } from "./0010-audit-copies.ts";
import { refusedCredentials } from "./0011-refused-credentials.ts";
import type { Migration } from "./migration.ts";

/** Every step, in order. */
export const MIGRATIONS: readonly Migration[] = [
  foundation,
  streams,
  people,
  passwords,
  witnesses,
  policyVersions,
  nodeLookups,
  retention,
  commandAuthority,
  auditCopies,
  refusedCredentials,
];

/** The SQL of a step in one dialect, as it is run and as `server migrate --plan` shows it. */
export function migrationSql(migration: Migration, dialect: StoreDialect): readonly string[] {
  const own = migration.statements(dialect).map((text) => endTable(unindent(text), dialect));
  if (dialect.name === "sqlite") return own;
  return [...own, ...migration.tenantTables.flatMap(hideFromOthers)];
}

function endTable(text: string, { tableEnd }: StoreDialect): string {
  return tableEnd !== "" && text.startsWith("create table") ? `${text} ${tableEnd}` : text;
}

/** The second wall on PostgreSQL: rows of other organisations do not exist, whatever a query asks. */
function hideFromOthers(table: string): readonly string[] {
  const own = `org_id = current_setting('${ORG_SETTING}', true)`;
  return [
    `alter table ${table} enable row level security`,
    `alter table ${table} force row level security`,
    `create policy own_org on ${table} using (${own}) with check (${own})`,
  ];
}

function unindent(text: string): string {
  return text.replace(/\n {2}/g, "\n");
}
