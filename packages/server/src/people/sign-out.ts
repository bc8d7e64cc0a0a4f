import type { DeviceGrantRecords, MemberSessionRecords } from "./people-records.ts";

export interface SignOutTransaction {
  readonly memberSessions: MemberSessionRecords;
  readonly deviceGrants: DeviceGrantRecords;
}

/**
 * Ends a member's sessions, but for the one that is kept, and what was approved in them and not fetched yet: a machine
 * that a thief allowed must not get its key after the thief is out.
 */
export async function signOut(tx: SignOutTransaction, memberId: string, keptId?: string): Promise<void> {
  await tx.memberSessions.removeOfMember(memberId, keptId);
  await tx.deviceGrants.removeOfMember(memberId);
}
