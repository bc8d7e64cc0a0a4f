import type { Member, MemberRecords } from "../orgs/org-records.ts";
import type { Page } from "../page.ts";
import type { InvitationRecords, PasswordRecords } from "./password-records.ts";
import type { IdentityRecords } from "./people-records.ts";

/** A member, and how they sign in. */
export interface ListedMember extends Member {
  readonly hasPassword: boolean;
  readonly hasIdentity: boolean;
  /** Until when a link waits by which they may choose a password. */
  readonly linkExpiresAt: number | undefined;
}

/** Members of an organisation, by name. */
export async function listPeople(
  tx: {
    readonly members: MemberRecords;
    readonly passwords: PasswordRecords;
    readonly identities: IdentityRecords;
    readonly invitations: InvitationRecords;
  },
  page: Page,
): Promise<readonly ListedMember[]> {
  const [passwords, identities] = [await tx.passwords.memberIds(), await tx.identities.memberIds()];
  const links = new Map((await tx.invitations.list()).map(({ memberId, expiresAt }) => [memberId, expiresAt]));
  return (await tx.members.list(page)).map((member) => ({
    ...member,
    hasPassword: passwords.has(member.id),
    hasIdentity: identities.has(member.id),
    linkExpiresAt: links.get(member.id),
  }));
}
