import type { StoreDialect } from "../dialect.ts";
import { tenantColumns } from "./columns.ts";
import type { Migration } from "./migration.ts";

const NODE = "foreign key (node_id, org_id) references nodes (id, org_id)";

const shared = ({ text, integer, bytes }: StoreDialect): readonly string[] => [
  `create table server_facts (name ${text} primary key, value ${text} not null)`,
  `create table setup_codes (
    secret_sha256 ${bytes} primary key check (length(secret_sha256) = 32),
    created_at ${integer} not null,
    org_id ${text}
  )`,
  `create table lookups (
    sha256 ${bytes} not null check (length(sha256) = 32),
    kind ${text} not null check (kind in ('pin', 'org_name', 'enrollment_code', 'enrollment', 'api_key', 'session')),
    org_id ${text} not null,
    primary key (kind, sha256)
  )`,
  `create table spent_challenges (
    sha256 ${bytes} primary key check (length(sha256) = 32), expires_at ${integer} not null
  )`,
  `create table seen_proofs (
    sha256 ${bytes} primary key check (length(sha256) = 32), expires_at ${integer} not null
  )`,
  "create index spent_challenges_expiry on spent_challenges (expires_at)",
  "create index seen_proofs_expiry on seen_proofs (expires_at)",
];

const people = (d: StoreDialect): readonly string[] => [
  `create table orgs (
    id ${d.text} primary key,
    org_id ${d.text} not null check (org_id = id),
    name ${d.text} not null unique,
    org_key ${d.bytes} not null check (length(org_key) = 32),
    org_encryption_key ${d.bytes} not null check (length(org_encryption_key) = 32),
    created_by_sha256 ${d.bytes} not null check (length(created_by_sha256) = 32),
    event_cursor ${d.integer} not null default 0,
    created_at ${d.integer} not null,
    updated_at ${d.integer} not null
  )`,
  `create table rosters (
    ${tenantColumns(d)},
    version ${d.integer} not null check (version > 0),
    issued_at ${d.integer} not null,
    document ${d.text} not null,
    signer ${d.bytes} not null check (length(signer) = 32),
    signature ${d.bytes} not null check (length(signature) = 64),
    primary key (org_id, version)
  )`,
  `create table members (
    id ${d.text} primary key,
    ${tenantColumns(d)},
    name ${d.text} not null,
    role ${d.text} not null check (role in ('viewer', 'operator', 'admin', 'owner')),
    deleted_at ${d.integer},
    unique (id, org_id)
  )`,
  "create unique index members_live_name on members (org_id, name) where deleted_at is null",
];

const nodes = (d: StoreDialect): readonly string[] => [
  `create table nodes (
    id ${d.text} primary key,
    ${tenantColumns(d)},
    name ${d.text} not null,
    state ${d.text} not null check (state in ('pending', 'confirmed', 'revoked')),
    identity_key ${d.bytes} not null check (length(identity_key) = 32),
    encryption_key ${d.bytes} not null check (length(encryption_key) = 32),
    ca_key ${d.bytes} not null check (length(ca_key) between 64 and 256),
    labels ${d.text} not null,
    cordoned ${d.integer} not null default 0 check (cordoned in (0, 1)),
    epoch ${d.integer} not null,
    generation ${d.integer} not null default 0,
    applied_generation ${d.integer} not null default 0,
    command_seq ${d.integer} not null default 0,
    acknowledged_seq ${d.integer} not null default 0,
    last_seen_at ${d.integer},
    software_version ${d.text} not null default '',
    boot_id ${d.text},
    run_count ${d.integer} not null default 0,
    quarantine_reason ${d.text},
    deleted_at ${d.integer},
    unique (id, org_id),
    check (state <> 'revoked' or deleted_at is not null)
  )`,
  "create unique index nodes_live_name on nodes (org_id, name) where deleted_at is null",
  "create unique index nodes_live_identity on nodes (org_id, identity_key) where deleted_at is null",
  `create table enrollments (
    id ${d.text} primary key,
    ${tenantColumns(d)},
    state ${d.text} not null
      check (state in ('pending', 'awaiting_confirmation', 'confirmed', 'expired', 'cancelled')),
    code_sha256 ${d.bytes} not null unique check (length(code_sha256) = 32),
    name ${d.text},
    labels ${d.text} not null,
    claim_expires_at ${d.integer} not null,
    confirm_expires_at ${d.integer},
    node_id ${d.text},
    replaces_node_id ${d.text},
    tuple_sha256 ${d.bytes} check (length(tuple_sha256) = 32),
    proof ${d.bytes} check (length(proof) = 64),
    sealed ${d.text},
    unique (id, org_id),
    foreign key (node_id, org_id) references nodes (id, org_id),
    foreign key (replaces_node_id, org_id) references nodes (id, org_id),
    check (node_id is not null or state in ('pending', 'cancelled', 'expired')),
    check (state <> 'awaiting_confirmation' or (tuple_sha256 is not null and confirm_expires_at is not null))
  )`,
  `create table api_keys (
    id ${d.text} primary key,
    ${tenantColumns(d)},
    member_id ${d.text},
    node_id ${d.text},
    label ${d.text} not null,
    prefix ${d.text} not null,
    sha256 ${d.bytes} not null unique check (length(sha256) = 32),
    role ${d.text} check (role in ('viewer', 'operator', 'admin', 'owner')),
    expires_at ${d.integer} not null,
    last_used_at ${d.integer},
    revoked_at ${d.integer},
    unique (id, org_id),
    foreign key (member_id, org_id) references members (id, org_id),
    ${NODE},
    check ((member_id is null) <> (node_id is null)),
    check ((member_id is null) = (role is null))
  )`,
  "create index api_keys_of_node on api_keys (org_id, node_id)",
  `create table sessions (
    ${tenantColumns(d)},
    node_id ${d.text} not null,
    api_key_id ${d.text} not null,
    fence ${d.integer} not null,
    token_sha256 ${d.bytes} not null unique check (length(token_sha256) = 32),
    expires_at ${d.integer} not null,
    previous_sha256 ${d.bytes} check (length(previous_sha256) = 32),
    previous_until ${d.integer},
    primary key (node_id, org_id),
    ${NODE},
    foreign key (api_key_id, org_id) references api_keys (id, org_id)
  )`,
];

const desired = (d: StoreDialect): readonly string[] => [
  `create table commands (
    id ${d.text} primary key,
    ${tenantColumns(d)},
    batch_id ${d.text} not null,
    node_id ${d.text} not null,
    idempotency_key ${d.text} not null,
    actor ${d.text} not null,
    kind ${d.text} not null,
    payload ${d.bytes} not null,
    payload_sha256 ${d.bytes} not null check (length(payload_sha256) = 32),
    not_after ${d.integer} not null,
    state ${d.text} not null check (state in ('queued', 'sent', 'ok', 'partial', 'bad_request', 'incapable', 'busy',
      'forbidden', 'internal', 'expired', 'outcome_unknown')),
    epoch ${d.integer},
    seq ${d.integer},
    message ${d.text} not null default '',
    result ${d.bytes},
    finished_at ${d.integer},
    unique (id, org_id),
    unique (org_id, node_id, idempotency_key),
    ${NODE}
  )`,
  "create index commands_of_batch on commands (org_id, batch_id)",
  "create index commands_open on commands (org_id, node_id, id) where finished_at is null",
  `create table credentials (
    id ${d.text} primary key,
    ${tenantColumns(d)},
    name ${d.text} not null,
    version ${d.integer} not null check (version > 0),
    kind ${d.text} not null,
    bindings ${d.text} not null,
    jwe ${d.text} not null,
    signer ${d.bytes} not null check (length(signer) = 32),
    signature ${d.bytes} not null check (length(signature) = 64),
    rotation_pending ${d.integer} not null default 0 check (rotation_pending in (0, 1)),
    deleted_at ${d.integer},
    unique (id, org_id)
  )`,
  "create unique index credentials_live_name on credentials (org_id, name) where deleted_at is null",
  `create table credential_nodes (
    ${tenantColumns(d)},
    credential_id ${d.text} not null,
    node_id ${d.text} not null,
    primary key (credential_id, node_id),
    foreign key (credential_id, org_id) references credentials (id, org_id),
    ${NODE}
  )`,
  `create table policies (
    id ${d.text} primary key,
    ${tenantColumns(d)},
    name ${d.text} not null,
    document ${d.text} not null,
    unique (id, org_id),
    unique (org_id, name)
  )`,
  `create table revocations (
    ${tenantColumns(d)},
    node_id ${d.text} not null,
    epoch ${d.integer} not null,
    generation ${d.integer} not null,
    ids ${d.text} not null,
    primary key (org_id, node_id, epoch, generation),
    ${NODE}
  )`,
];

const reports = (d: StoreDialect): readonly string[] => [
  `create table events (
    ${tenantColumns(d)},
    cursor ${d.integer} not null,
    kind ${d.text} not null,
    node_id ${d.text},
    run_id ${d.text},
    data ${d.text} not null,
    primary key (org_id, cursor),
    ${NODE}
  )`,
  "create index events_by_time on events (org_id, created_at)",
  `create table upload_offsets (
    ${tenantColumns(d)},
    node_id ${d.text} not null,
    stream ${d.text} not null check (stream in ('telemetry', 'events')),
    source ${d.text} not null,
    next_offset ${d.integer} not null,
    primary key (org_id, node_id, stream, source),
    ${NODE}
  )`,
  `create table telemetry_chunks (
    org_id ${d.text} not null,
    node_id ${d.text} not null,
    name ${d.text} not null,
    run_id ${d.text} not null,
    first_time ${d.integer} not null,
    last_time ${d.integer} not null check (last_time >= first_time),
    samples ${d.text} not null,
    ${NODE}
  )`,
  "create index telemetry_chunks_by_node on telemetry_chunks (org_id, node_id, last_time)",
  "create index telemetry_chunks_by_time on telemetry_chunks (org_id, last_time)",
  `create table upload_gaps (
    ${tenantColumns(d)},
    node_id ${d.text} not null,
    source ${d.text} not null,
    stream ${d.text} not null check (stream in ('telemetry', 'events')),
    first_offset ${d.integer} not null,
    through_offset ${d.integer} not null,
    batches ${d.integer} not null,
    bytes ${d.integer} not null,
    captured_at ${d.integer} not null,
    primary key (org_id, node_id, stream, source, first_offset),
    ${NODE}
  )`,
  `create table runs (
    id ${d.text} not null,
    ${tenantColumns(d)},
    node_id ${d.text} not null,
    state ${d.text} not null,
    document ${d.text} not null,
    reported_at ${d.integer} not null,
    ended_at ${d.integer},
    primary key (org_id, id),
    ${NODE}
  )`,
  "create index runs_of_node on runs (org_id, node_id)",
  `create table audit_logs (
    ${tenantColumns(d)},
    log_id ${d.text} not null,
    signed_as ${d.text} not null,
    key ${d.bytes} not null check (length(key) = 32),
    size ${d.integer} not null,
    peaks ${d.bytes} not null,
    forked_at ${d.integer},
    primary key (org_id, log_id)
  )`,
  `create table audit_entries (
    org_id ${d.text} not null references orgs (id),
    log_id ${d.text} not null,
    seq ${d.integer} not null,
    time ${d.integer} not null,
    kind ${d.text} not null,
    entry ${d.text} not null,
    primary key (org_id, log_id, seq)
  )`,
  `create table audit_heads (
    org_id ${d.text} not null references orgs (id),
    log_id ${d.text} not null,
    size ${d.integer} not null,
    root ${d.bytes} not null check (length(root) = 32),
    time ${d.integer} not null,
    key_id ${d.text} not null,
    signature ${d.bytes} not null check (length(signature) = 64),
    primary key (org_id, log_id, size)
  )`,
];

/** Everything that the first release keeps. */
export const foundation: Migration = {
  name: "0001-foundation",
  isAdditive: true,
  tenantTables: [
    "orgs",
    "rosters",
    "members",
    "nodes",
    "enrollments",
    "api_keys",
    "sessions",
    "commands",
    "credentials",
    "credential_nodes",
    "policies",
    "revocations",
    "events",
    "upload_offsets",
    "telemetry_chunks",
    "upload_gaps",
    "runs",
    "audit_logs",
    "audit_entries",
    "audit_heads",
  ],
  statements: (dialect) => [shared, people, nodes, desired, reports].flatMap((part) => part(dialect)),
};
