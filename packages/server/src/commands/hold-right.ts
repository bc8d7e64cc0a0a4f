import { Problem } from "@gatehouse/core";
import type { Authority } from "../orgs/authenticate-operator.ts";
import type { ApiKeyRecords, MemberRecords, Role } from "../orgs/org-records.ts";
import { lesserRole, mayDo } from "../orgs/roles.ts";
import type { MemberSessionRecords } from "../people/people-records.ts";

export interface RightTransaction {
  readonly members: Pick<MemberRecords, "hold">;
  readonly apiKeys: Pick<ApiKeyRecords, "hold">;
  readonly memberSessions: Pick<MemberSessionRecords, "hold">;
}

export interface CommandRight {
  readonly memberId: string;
  readonly authority: Authority;
}

/**
 * Holds the right by which a command is given until the transaction ends: whoever takes it away meanwhile waits, and finds
 * the command then. Fails with `auth.refused` and `auth.forbidden` where it was taken away since the call was let in.
 */
export async function holdRight(tx: RightTransaction, { memberId, authority }: CommandRight): Promise<void> {
  const member = await tx.members.hold(memberId);
  const role = await roleOf(tx, authority);
  if (member === undefined || role === undefined) throw new Problem("auth.refused");
  if (!mayDo(lesserRole(role, member.role), "node:command")) throw new Problem("auth.forbidden");
}

async function roleOf({ apiKeys, memberSessions }: RightTransaction, authority: Authority): Promise<Role | undefined> {
  const id = authority.slice(authority.indexOf(":") + 1);
  if (authority.startsWith("session:")) return (await memberSessions.hold(id))?.role;
  const key = await apiKeys.hold(id);
  return key?.revokedAt === undefined ? key?.role : undefined;
}
