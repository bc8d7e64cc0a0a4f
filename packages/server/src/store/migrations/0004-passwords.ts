import { REFERENCES_MEMBER, tenantColumns } from "./columns.ts";
import type { Migration } from "./migration.ts";

/** People who sign in here, by a password that they chose through a link; and what a session says of its browser. */
export const passwords: Migration = {
  name: "0004-passwords",
  isAdditive: true,
  tenantTables: ["passwords", "invitations"],
  statements: (d) => [
    `create table passwords (
      ${tenantColumns(d)},
      member_id ${d.text} not null,
      hash ${d.text} not null,
      primary key (org_id, member_id),
      ${REFERENCES_MEMBER}
    )`,
    `create table invitations (
      id ${d.text} primary key,
      ${tenantColumns(d)},
      member_id ${d.text} not null,
      secret_sha256 ${d.bytes} not null unique check (length(secret_sha256) = 32),
      expires_at ${d.integer} not null,
      unique (id, org_id),
      unique (org_id, member_id),
      ${REFERENCES_MEMBER}
    )`,
    `alter table member_sessions add column browser ${d.text}`,
    `alter table member_sessions add column address ${d.text}`,
    `alter table member_sessions add column last_seen_at ${d.integer}`,
  ],
};
