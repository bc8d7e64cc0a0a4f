import type { AuditLogRecords } from "../audit/audit-log-records.ts";
import type { AuditTrail } from "../audit/audit-trail.ts";
import type { CopyRecords } from "../audit/copy-records.ts";
import type { WitnessRecords } from "../audit/witness-records.ts";
import type { RevocationRecords } from "../bundles/revocation-records.ts";
import type { BusMessage } from "../bus/bus.ts";
import type { CommandRecords } from "../commands/command-records.ts";
import type { CredentialRecords } from "../credentials/credential-records.ts";
import type { EnrollmentRecords } from "../enrollment/enrollment-records.ts";
import type { NodeRecords } from "../nodes/node-records.ts";
import type { ApiKeyRecords, MemberRecords, OrgRecords } from "../orgs/org-records.ts";
import type { RosterRecords } from "../orgs/roster-records.ts";
import type { InvitationRecords, PasswordRecords } from "../people/password-records.ts";
import type { DeviceGrantRecords, IdentityRecords, MemberSessionRecords } from "../people/people-records.ts";
import type { PolicyRecords } from "../policies/policy-records.ts";
import type { EventRecords } from "../reports/event-records.ts";
import type { RunRecords } from "../reports/run-records.ts";
import type { SampleRecords } from "../reports/sample-records.ts";
import type { UploadRecords } from "../reports/upload-records.ts";
import type { SessionRecords } from "../sessions/session-records.ts";
import { insertOnce } from "./insert-once.ts";
import { addLookup, keepLookup, type RecordScope } from "./record-scope.ts";
import { auditLogRecords } from "./records/audit-log-records.ts";
import { auditTrail } from "./records/audit-trail.ts";
import { commandRecords } from "./records/command-records.ts";
import { copyRecords } from "./records/copy-records.ts";
import { credentialRecords } from "./records/credential-records.ts";
import { enrollmentRecords } from "./records/enrollment-records.ts";
import { eventRecords } from "./records/event-records.ts";
import { nodeRecords } from "./records/node-records.ts";
import { apiKeyRecords, memberRecords, orgRecords } from "./records/org-records.ts";
import { invitationRecords, passwordRecords } from "./records/password-records.ts";
import { deviceGrantRecords, identityRecords, memberSessionRecords } from "./records/people-records.ts";
import { policyRecords } from "./records/policy-records.ts";
import { revocationRecords } from "./records/revocation-records.ts";
import { rosterRecords } from "./records/roster-records.ts";
import { runRecords } from "./records/run-records.ts";
import { sampleRecords } from "./records/sample-records.ts";
import { sessionRecords } from "./records/session-records.ts";
import { spendSetupCode } from "./records/setup-codes.ts";
import { uploadRecords } from "./records/upload-records.ts";
import { witnessRecords } from "./records/witness-records.ts";
import type { LookupKind } from "./tables.ts";

/** Everything of one organisation inside one transaction: all of it is written, or nothing. */
export interface OrgTransaction {
  readonly orgId: string;
  /** Unix milliseconds. */
  readonly now: () => number;
  /** Wakes whoever waits for this change, once it is committed. */
  readonly announce: (message: BusMessage) => void;
  readonly audit: AuditTrail;
  readonly auditLogs: AuditLogRecords;
  readonly copies: CopyRecords;
  readonly witnesses: WitnessRecords;
  readonly org: OrgRecords;
  readonly roster: RosterRecords;
  readonly members: MemberRecords;
  readonly apiKeys: ApiKeyRecords;
  readonly identities: IdentityRecords;
  readonly memberSessions: MemberSessionRecords;
  readonly deviceGrants: DeviceGrantRecords;
  readonly passwords: PasswordRecords;
  readonly invitations: InvitationRecords;
  readonly nodes: NodeRecords;
  readonly enrollments: EnrollmentRecords;
  readonly sessions: SessionRecords;
  readonly credentials: CredentialRecords;
  readonly policies: PolicyRecords;
  readonly revocations: RevocationRecords;
  readonly events: EventRecords;
  readonly commands: CommandRecords;
  readonly uploads: UploadRecords;
  readonly samples: SampleRecords;
  readonly runs: RunRecords;
  /** Lets whoever knows the secret find the organisation. */
  addLookup(kind: LookupKind, sha256: Uint8Array): Promise<void>;
  keepLookup(kind: LookupKind, sha256: Uint8Array): Promise<void>;
  /** False when it was spent before. */
  spendChallenge(sha256: Uint8Array, expiresAt: number): Promise<boolean>;
  /** False when it was seen before. */
  seeProof(sha256: Uint8Array, expiresAt: number): Promise<boolean>;
  /** Marks a set-up code as this organisation's. Fails with `org.setup_code_spent`. */
  spendSetupCode(secretSha256: Uint8Array): Promise<void>;
}

export function orgTransaction(scope: RecordScope): OrgTransaction {
  return {
    orgId: scope.orgId,
    now: scope.now,
    announce: scope.announce,
    audit: auditTrail(scope),
    auditLogs: auditLogRecords(scope),
    copies: copyRecords(scope),
    witnesses: witnessRecords(scope),
    org: orgRecords(scope),
    roster: rosterRecords(scope),
    members: memberRecords(scope),
    apiKeys: apiKeyRecords(scope),
    identities: identityRecords(scope),
    memberSessions: memberSessionRecords(scope),
    deviceGrants: deviceGrantRecords(scope),
    passwords: passwordRecords(scope),
    invitations: invitationRecords(scope),
    nodes: nodeRecords(scope),
    enrollments: enrollmentRecords(scope),
    sessions: sessionRecords(scope),
    credentials: credentialRecords(scope),
    policies: policyRecords(scope),
    revocations: revocationRecords(scope),
    events: eventRecords(scope),
    commands: commandRecords(scope),
    uploads: uploadRecords(scope),
    samples: sampleRecords(scope),
    runs: runRecords(scope),
    addLookup: (kind, hash) => addLookup(scope, kind, hash),
    keepLookup: (kind, hash) => keepLookup(scope, kind, hash),
    spendChallenge: (hash, expiresAt) => insertOnce(scope.db, "spent_challenges", { hash, expiresAt }),
    seeProof: (hash, expiresAt) => insertOnce(scope.db, "seen_proofs", { hash, expiresAt }),
    spendSetupCode: (hash) => spendSetupCode(scope, hash),
  };
}
