import type { InvitationRecords } from "./password-records.ts";
import type { DeviceGrantRecords, MemberSessionRecords } from "./people-records.ts";

/** Forgets sessions, links and waiting machines that have run out of time. */
export async function forgetExpiredPeople(tx: {
  readonly memberSessions: MemberSessionRecords;
  readonly deviceGrants: DeviceGrantRecords;
  readonly invitations: InvitationRecords;
}): Promise<void> {
  await tx.memberSessions.removeExpired();
  await tx.deviceGrants.removeExpired();
  await tx.invitations.removeExpired();
}
