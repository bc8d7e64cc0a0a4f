import type { Generated } from "kysely";
import type { AuditCopies, AuditEntries, AuditHeads, AuditLogs, AuditWitnesses } from "./audit-tables.ts";
import type { Tenant, Time } from "./tenant-row.ts";

/** Facts of this installation: one row each. Holds no tenant's data. */
interface ServerFacts {
  name: string;
  value: string;
}

/** Codes that may make an organisation. Only the hash of the secret part is stored. */
interface SetupCodes {
  secret_sha256: Uint8Array;
  created_at: Time;
  /** The organisation that it made; null while it was not used. */
  org_id: string | null;
}

/** Which organisation a code, key, session or pin belongs to: what is asked before an organisation is known. */
interface Lookups {
  sha256: Uint8Array;
  kind: LookupKind;
  org_id: string;
}

export type LookupKind = "pin" | "org_name" | "enrollment_code" | "enrollment" | "api_key" | "session";

/** Challenges that were answered, until they would have expired. */
interface SpentChallenges {
  sha256: Uint8Array;
  expires_at: Time;
}

/** Ids of DPoP proofs that were seen, until their nonce is stale. */
interface SeenProofs {
  sha256: Uint8Array;
  expires_at: Time;
}

interface Orgs extends Tenant {
  id: string;
  name: string;
  org_key: Uint8Array;
  org_encryption_key: Uint8Array;
  /** SHA-256 of the tuple that the org key signed when it was made. */
  created_by_sha256: Uint8Array;
  /** Of its newest event. Each organisation counts its own: no gap tells one of another. */
  event_cursor: Generated<number>;
}

interface Rosters extends Tenant {
  version: number;
  issued_at: Time;
  /** JSON: the whole roster as it travels. */
  document: string;
  signer: Uint8Array;
  signature: Uint8Array;
}

interface Members extends Tenant {
  id: string;
  name: string;
  role: string;
  deleted_at: Time | null;
}

/** Keys of members and of nodes: exactly one subject each. */
interface ApiKeys extends Tenant {
  id: string;
  member_id: string | null;
  node_id: string | null;
  label: string;
  prefix: string;
  sha256: Uint8Array;
  role: string | null;
  expires_at: Time;
  last_used_at: Time | null;
  revoked_at: Time | null;
}

interface Nodes extends Tenant {
  id: string;
  name: string;
  state: "pending" | "confirmed" | "revoked";
  identity_key: Uint8Array;
  encryption_key: Uint8Array;
  ca_key: Uint8Array;
  /** JSON object. */
  labels: string;
  cordoned: number;
  epoch: number;
  generation: number;
  applied_generation: number;
  /** Of the last command that was signed for it. */
  command_seq: number;
  /** Of the last command that it acknowledged. */
  acknowledged_seq: number;
  last_seen_at: Time | null;
  software_version: string;
  boot_id: string | null;
  run_count: number;
  quarantine_reason: string | null;
  deleted_at: Time | null;
  /** The boot before the present one. */
  previous_boot_id: string | null;
  /** As the last event said. */
  liveness: "online" | "stale" | "offline" | null;
  /** Of its open control stream; null: none. */
  stream_id: string | null;
  /** Until when the stream counts as open without a further word of its owner. */
  connected_until: Time | null;
  /** As its last heartbeat said. */
  health: "ok" | "degraded" | null;
  spool_depth: number;
  /** Since when `applied_generation` is known to be served. */
  applied_at: Time | null;
  audit_fault: "rewound" | "forked" | "unproven" | null;
  /** JSON list, as its last heartbeat said; null: none. */
  refused_credentials: string | null;
}

interface Enrollments extends Tenant {
  id: string;
  state: "pending" | "awaiting_confirmation" | "confirmed" | "expired" | "cancelled";
  code_sha256: Uint8Array;
  /** The only name that may claim it; null: any. */
  name: string | null;
  labels: string;
  claim_expires_at: Time;
  confirm_expires_at: Time | null;
  node_id: string | null;
  replaces_node_id: string | null;
  /** SHA-256 of the tuple that the host's proof covers. */
  tuple_sha256: Uint8Array | null;
  proof: Uint8Array | null;
  /** The sealed answer, kept until the first handshake. */
  sealed: string | null;
}

/** The one session of a node. */
interface Sessions extends Tenant {
  node_id: string;
  api_key_id: string;
  /** Grows with each handshake: what holds an older one is fenced off. */
  fence: number;
  token_sha256: Uint8Array;
  expires_at: Time;
  /** The token before the last renewal, and until when it is good. */
  previous_sha256: Uint8Array | null;
  previous_until: Time | null;
}

interface Commands extends Tenant {
  id: string;
  batch_id: string;
  node_id: string;
  idempotency_key: string;
  actor: string;
  kind: string;
  payload: Uint8Array;
  payload_sha256: Uint8Array;
  not_after: Time;
  state: string;
  epoch: number | null;
  seq: number | null;
  message: string;
  result: Uint8Array | null;
  finished_at: Time | null;
  /** The key or session it was given by; null: by a release that did not keep it. */
  authority: string | null;
  /** Who took it back; null: nobody. */
  withdrawn_by: string | null;
  withdrawn_why: string | null;
}

interface Credentials extends Tenant {
  id: string;
  name: string;
  version: number;
  kind: string;
  bindings: string;
  jwe: string;
  signer: Uint8Array;
  signature: Uint8Array;
  rotation_pending: number;
  deleted_at: Time | null;
}

interface CredentialNodes extends Tenant {
  credential_id: string;
  node_id: string;
}

interface Policies extends Tenant {
  id: string;
  name: string;
  /** RFC 8785 JSON. */
  document: string;
  version: number;
  /** JSON object: it holds nodes that have all of them. */
  labels: string;
  /** Who made this version. */
  actor: string;
}

/** What a policy was; also of policies that were deleted. */
interface PolicyVersions extends Tenant {
  name: string;
  version: number;
  /** RFC 8785 JSON. */
  document: string;
  actor: string;
}

interface Revocations extends Tenant {
  node_id: string;
  epoch: number;
  generation: number;
  /** JSON list. */
  ids: string;
}

interface Events extends Tenant {
  cursor: number;
  kind: string;
  node_id: string | null;
  run_id: string | null;
  data: string;
}

/** What was acknowledged of each source of a node. */
interface UploadOffsets extends Tenant {
  node_id: string;
  stream: "telemetry" | "events";
  source: string;
  next_offset: number;
}

interface TelemetryChunks {
  org_id: string;
  node_id: string;
  name: string;
  run_id: string;
  first_time: Time;
  last_time: Time;
  /** JSON: `[[time, value], …]` in the order of time. */
  samples: string;
}

/** Batches that a node had to drop before they were acknowledged. */
interface UploadGaps extends Tenant {
  node_id: string;
  stream: "telemetry" | "events";
  source: string;
  first_offset: number;
  through_offset: number;
  batches: number;
  bytes: number;
  captured_at: Time;
}

interface Runs extends Tenant {
  id: string;
  node_id: string;
  state: string;
  /** JSON of the node's last word on it. */
  document: string;
  reported_at: Time;
  ended_at: Time | null;
}

/** Which member a person of an identity provider is. */
interface Identities extends Tenant {
  issuer: string;
  subject: string;
  member_id: string;
}

/** Browsers in which members signed in. */
interface MemberSessions extends Tenant {
  id: string;
  member_id: string;
  token_sha256: Uint8Array;
  role: string;
  expires_at: Time;
  /** What the browser says it is; null: it was opened by a release that did not keep it. */
  browser: string | null;
  address: string | null;
  last_seen_at: Time | null;
}

/** Passwords by which members sign in here. */
interface Passwords extends Tenant {
  member_id: string;
  /** argon2id in the PHC string format. */
  hash: string;
}

/** Links by which a member may choose a password once. */
interface Invitations extends Tenant {
  id: string;
  member_id: string;
  secret_sha256: Uint8Array;
  expires_at: Time;
}

/** Machines that ask to act for a member. */
interface DeviceGrants extends Tenant {
  id: string;
  device_sha256: Uint8Array;
  user_code_mac: Uint8Array;
  machine: string;
  address: string;
  state: "pending" | "approved" | "denied";
  interval_ms: number;
  polled_at: Time | null;
  expires_at: Time;
  member_id: string | null;
  role: string | null;
}

/** The tables, each with its columns. */
export interface Tables {
  server_facts: ServerFacts;
  setup_codes: SetupCodes;
  lookups: Lookups;
  spent_challenges: SpentChallenges;
  seen_proofs: SeenProofs;
  orgs: Orgs;
  rosters: Rosters;
  members: Members;
  api_keys: ApiKeys;
  nodes: Nodes;
  enrollments: Enrollments;
  sessions: Sessions;
  commands: Commands;
  credentials: Credentials;
  credential_nodes: CredentialNodes;
  policies: Policies;
  policy_versions: PolicyVersions;
  revocations: Revocations;
  events: Events;
  upload_offsets: UploadOffsets;
  telemetry_chunks: TelemetryChunks;
  upload_gaps: UploadGaps;
  runs: Runs;
  audit_logs: AuditLogs;
  identities: Identities;
  member_sessions: MemberSessions;
  device_grants: DeviceGrants;
  passwords: Passwords;
  invitations: Invitations;
  audit_entries: AuditEntries;
  audit_heads: AuditHeads;
  audit_copies: AuditCopies;
  audit_witnesses: AuditWitnesses;
}
