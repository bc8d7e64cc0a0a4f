import { type EndTransaction, withdrawCommands } from "../commands/end-command.ts";
import type { Member } from "../orgs/org-records.ts";
import type { DeviceGrantRecords, MemberSessionRecords } from "./people-records.ts";

export interface SignOutTransaction extends EndTransaction {
  readonly memberSessions: MemberSessionRecords;
  readonly deviceGrants: DeviceGrantRecords;
}

/** Whose sessions end. */
export interface SigningOut {
  readonly member: Pick<Member, "id" | "name">;
  /** As the audit log names whoever does it. */
  readonly by: string;
  readonly keptId?: string;
}

/**
 * Ends a member's sessions, but for the one that is kept, and what was approved in them and not fetched yet: a machine
 * that a thief allowed must not get its key after the thief is out. What was commanded in them is not sent any more.
 */
export async function signOut(tx: SignOutTransaction, { member, by, keptId }: SigningOut): Promise<void> {
  const ended = await removeSessions(tx, { memberId: member.id, keptId });
  await withdrawOfSessions(tx, { ids: ended, member: member.name, by });
}

/** The same, where what was commanded is taken back for another reason. Answers the sessions that ended. */
export async function removeSessions(
  tx: SignOutTransaction,
  { memberId, keptId }: { readonly memberId: string; readonly keptId?: string | undefined },
): Promise<readonly string[]> {
  const ended = await tx.memberSessions.removeOfMember(memberId, keptId);
  await tx.deviceGrants.removeOfMember(memberId);
  return ended;
}

/** Takes back what was commanded in sessions that somebody ended. */
export async function withdrawOfSessions(
  tx: EndTransaction,
  { ids, member, by }: { readonly ids: readonly string[]; readonly member: string; readonly by: string },
): Promise<void> {
  if (ids.length === 0) return;
  const authorities = ids.map((id) => `session:${id}`);
  await withdrawCommands(tx, { authorities, actor: `operator:${member}` }, { by, why: "session_ended" });
}
