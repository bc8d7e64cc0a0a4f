import { makeUuid, Problem, type Random } from "@gatehouse/core";
import type { AuditTrail } from "../audit/audit-trail.ts";
import { withdrawCommands } from "../commands/end-command.ts";
import type { InvitationRecords, PasswordRecords } from "../people/password-records.ts";
import type { IdentityRecords } from "../people/people-records.ts";
import { removeSessions, type SignOutTransaction } from "../people/sign-out.ts";
import type { ApiKeyRecords, Member, MemberRecords, Role } from "./org-records.ts";
import { mayDo } from "./roles.ts";

export interface MemberTransaction extends SignOutTransaction {
  readonly now: () => number;
  readonly audit: AuditTrail;
  readonly members: MemberRecords;
  readonly apiKeys: ApiKeyRecords;
  readonly identities: IdentityRecords;
  readonly passwords: PasswordRecords;
  readonly invitations: InvitationRecords;
}

export interface MemberChange {
  /** Who does it, as the log says it. */
  readonly actor: string;
  readonly name: string;
}

export interface NewMember extends MemberChange {
  readonly role: Role;
  /** Whether it is who was removed under this name: who they are at a provider leads to them again. */
  readonly isSamePerson: boolean;
}

/**
 * Adds a person; they act once they can sign in, or somebody made a key for them. Fails with `members.exists`, and with
 * `members.not_found` when nobody known to a provider was removed under the name of the same person.
 */
export async function addMember(
  tx: MemberTransaction,
  { actor, name, role, isSamePerson }: NewMember,
  random: Random,
): Promise<void> {
  if ((await tx.members.findByName(name)) !== undefined) throw new Problem("members.exists");
  const id = makeUuid(tx.now(), random);
  await tx.members.insert({ id, name, role });
  await report(tx, isSamePerson ? "member.readmitted" : "member.added", { actor, name, role });
  if (!isSamePerson) return;
  const adopted = await tx.identities.adopt(name, id);
  if (adopted.length === 0) {
    throw new Problem("members.not_found", { detail: `Nobody known to a provider was removed as ${name}.` });
  }
  for (const { issuer, subject } of adopted) {
    await tx.audit.append({ kind: "identity.linked", actor, data: { member: name, issuer, subject } });
  }
}

/**
 * Changes what a person may do, from their next call on; what they commanded and may no more is sent no more. Fails
 * with `members.not_found`, `members.last_owner`.
 */
export async function setMemberRole(
  tx: MemberTransaction,
  { actor, name, role }: MemberChange & { readonly role: Role },
): Promise<void> {
  const members = await tx.members.listForUpdate();
  const member = findMember(members, name);
  if (role !== "owner") keepOwner(members, member);
  await tx.members.setRole(member.id, role);
  if (!mayDo(role, "node:command")) {
    await withdrawCommands(tx, { actor: `operator:${name}` }, { by: actor, why: "role_changed" });
  }
  await report(tx, "member.role_changed", { actor, name, role });
}

/**
 * Removes a person, and ends their keys, sessions, password, link and commands. Fails with `members.not_found`,
 * `members.last_owner`.
 */
export async function removeMember(tx: MemberTransaction, { actor, name }: MemberChange): Promise<void> {
  const members = await tx.members.listForUpdate();
  const member = findMember(members, name);
  keepOwner(members, member);
  await tx.apiKeys.revokeOfMember(member.id);
  // A node that comes back later would still do them.
  await withdrawCommands(tx, { actor: `operator:${name}` }, { by: actor, why: "member_removed" });
  await removeSessions(tx, { memberId: member.id });
  await tx.passwords.remove(member.id);
  await tx.invitations.removeOfMember(member.id);
  await tx.members.remove(member.id);
  await report(tx, "member.removed", { actor, name });
}

function findMember(members: readonly Member[], name: string): Member {
  const member = members.find((one) => one.name === name);
  if (member === undefined) throw new Problem("members.not_found");
  return member;
}

function keepOwner(members: readonly Member[], member: Member): void {
  const hasOther = members.some(({ id, role }) => role === "owner" && id !== member.id);
  if (member.role === "owner" && !hasOther) throw new Problem("members.last_owner");
}

async function report(
  tx: MemberTransaction,
  kind: string,
  { actor, name, role }: MemberChange & { readonly role?: Role },
) {
  await tx.audit.append({ kind, actor, data: { member: name, role: role ?? null } });
}
