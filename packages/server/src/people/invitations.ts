import { base64url, makeUuid, Problem, type Random, type Secret } from "@gatehouse/core";
import { sha256 } from "@gatehouse/kit";
import type { AuditTrail } from "../audit/audit-trail.ts";
import type { Member, MemberRecords, OrgRecords } from "../orgs/org-records.ts";
import { judgePassword } from "./judge-password.ts";
import { type OpenSessionTransaction, openSession, type SignedIn, type Visitor } from "./open-session.ts";
import type { Invitation, InvitationRecords, PasswordRecords } from "./password-records.ts";
import type { Passwords } from "./passwords.ts";
import { type SignOutTransaction, signOut } from "./sign-out.ts";

export interface InvitationTransaction extends OpenSessionTransaction, SignOutTransaction {
  readonly audit: AuditTrail;
  readonly org: OrgRecords;
  readonly members: MemberRecords;
  readonly passwords: PasswordRecords;
  readonly invitations: InvitationRecords;
}

export interface InviteInput {
  /** As the audit log names whoever does it. */
  readonly actor: string;
  readonly name: string;
  /** 0: the default. */
  readonly ttlMs: number;
  /** Ends the member's password and sessions; without it, somebody who has a password keeps it and gets no link. */
  readonly isReset: boolean;
}

const DEFAULT_TTL_MS = 86_400_000;
const MIN_TTL_MS = 60_000;
const MAX_TTL_MS = 7 * 86_400_000;
const SECRET_FORM = /^[A-Za-z0-9_-]{43}$/;

/**
 * Makes a secret by which a member may choose a password once. One that they had before serves no more. Fails with
 * `members.not_found`, `members.has_password`.
 */
export async function inviteMember(
  tx: InvitationTransaction,
  { actor, name, ttlMs, isReset }: InviteInput,
  random: Random,
): Promise<{ readonly secret: string; readonly expiresAt: number }> {
  if (ttlMs !== 0 && (ttlMs < MIN_TTL_MS || ttlMs > MAX_TTL_MS)) {
    throw new Problem("api.malformed", { detail: "A link lives from one minute to seven days." });
  }
  const member = await tx.members.findByName(name);
  if (member === undefined) throw new Problem("members.not_found");
  const { id: memberId } = member;
  if (isReset) {
    await tx.passwords.remove(memberId);
    await signOut(tx, { member, by: actor });
  } else if ((await tx.passwords.find(memberId)) !== undefined) throw new Problem("members.has_password");
  await tx.invitations.removeOfMember(memberId);
  const secret = base64url(random.bytes(32));
  const expiresAt = tx.now() + (ttlMs === 0 ? DEFAULT_TTL_MS : ttlMs);
  await tx.invitations.insert({ id: makeUuid(tx.now(), random), memberId, secretSha256: sha256(secret), expiresAt });
  const kind = isReset ? "password.reset" : "member.invited";
  await tx.audit.append({ kind, actor, data: { member: name, expires_at: expiresAt } });
  return { secret, expiresAt };
}

/** Whom a link invites, and where to. */
export interface Invited {
  readonly invitation: Invitation;
  readonly member: Member;
  readonly org: string;
}

/** Who a link is for. Fails with `signin.link_spent`, whatever is wrong with it. */
export async function findInvited(tx: InvitationTransaction, secret: string): Promise<Invited> {
  const invitation = await tx.invitations.findBySecret(sha256(secret));
  const member = invitation === undefined ? undefined : await tx.members.find(invitation.memberId);
  if (invitation === undefined || member === undefined) throw new Problem("signin.link_spent");
  return { invitation, member, org: (await tx.org.get()).name };
}

export interface AcceptDeps {
  readonly store: InvitationStore;
  readonly passwords: Passwords;
  readonly random: Random;
}

/** What reading a link needs of the store. */
export interface InvitationStore {
  findOrg(kind: "session", sha256: Uint8Array): Promise<string | undefined>;
  inOrg<T>(orgId: string, work: (tx: InvitationTransaction) => Promise<T>): Promise<T>;
}

/** The organisation of a link. Fails with `signin.link_spent`. */
export async function findInvitingOrg(store: InvitationStore, secret: string): Promise<string> {
  const orgId = SECRET_FORM.test(secret) ? await store.findOrg("session", sha256(secret)) : undefined;
  if (orgId === undefined) throw new Problem("signin.link_spent");
  return orgId;
}

/**
 * Spends a link: the password is the member's from now on, every session from before ends, one is opened. Fails with
 * `signin.link_spent`, `signin.weak_password` (the link can be used again then).
 */
export async function acceptInvitation(
  { secret, password, visitor }: { secret: string; password: Secret; visitor: Visitor },
  { store, passwords, random }: AcceptDeps,
): Promise<SignedIn & { readonly orgId: string }> {
  const orgId = await findInvitingOrg(store, secret);
  const { member, org } = await store.inOrg(orgId, (tx) => findInvited(tx, secret));
  judgePassword(password, { member: member.name, org });
  const hash = await passwords.hash(password);
  const signedIn = await store.inOrg(orgId, async (tx) => {
    const { invitation, member: own } = await findInvited(tx, secret);
    if (!(await tx.invitations.take(invitation.id))) throw new Problem("signin.link_spent");
    await tx.passwords.put(own.id, hash);
    await signOut(tx, { member: own, by: `operator:${own.name}` });
    await tx.audit.append({ kind: "password.chosen", actor: `operator:${own.name}`, data: { member: own.name } });
    return openSession(tx, { member: own, role: own.role, by: "link" }, { visitor, random });
  });
  return { orgId, ...signedIn };
}
