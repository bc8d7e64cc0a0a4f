import type { DeviceGrantRecords, MemberSessionRecords } from "./people-records.ts";

/** Forgets sessions and waiting machines that have run out of time. */
export async function forgetExpiredPeople(tx: {
  readonly memberSessions: MemberSessionRecords;
  readonly deviceGrants: DeviceGrantRecords;
}): Promise<void> {
  await tx.memberSessions.removeExpired();
  await tx.deviceGrants.removeExpired();
}
