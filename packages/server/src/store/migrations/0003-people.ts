import { REFERENCES_MEMBER, tenantColumns } from "./columns.ts";
import type { Migration } from "./migration.ts";

const ROLE = "check (role in ('viewer', 'operator', 'admin', 'owner'))";

/** People who sign in at an identity provider, their browsers, and the machines that they let in. */
export const people: Migration = {
  name: "0003-people",
  isAdditive: true,
  tenantTables: ["identities", "member_sessions", "device_grants"],
  statements: (d) => [
    `create table identities (
      ${tenantColumns(d)},
      issuer ${d.text} not null,
      subject ${d.text} not null,
      member_id ${d.text} not null,
      primary key (org_id, issuer, subject),
      ${REFERENCES_MEMBER}
    )`,
    `create table member_sessions (
      id ${d.text} primary key,
      ${tenantColumns(d)},
      member_id ${d.text} not null,
      token_sha256 ${d.bytes} not null unique check (length(token_sha256) = 32),
      role ${d.text} not null ${ROLE},
      expires_at ${d.integer} not null,
      unique (id, org_id),
      ${REFERENCES_MEMBER}
    )`,
    "create index member_sessions_member on member_sessions (org_id, member_id)",
    `create table device_grants (
      id ${d.text} primary key,
      ${tenantColumns(d)},
      device_sha256 ${d.bytes} not null unique check (length(device_sha256) = 32),
      user_code_mac ${d.bytes} not null check (length(user_code_mac) = 32),
      machine ${d.text} not null,
      address ${d.text} not null,
      state ${d.text} not null check (state in ('pending', 'approved', 'denied')),
      interval_ms ${d.integer} not null,
      polled_at ${d.integer},
      expires_at ${d.integer} not null,
      member_id ${d.text},
      role ${d.text} ${ROLE},
      unique (id, org_id),
      unique (org_id, user_code_mac),
      ${REFERENCES_MEMBER},
      check ((state = 'approved') = (member_id is not null and role is not null))
    )`,
  ],
};
