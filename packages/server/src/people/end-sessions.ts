import { Problem } from "@gatehouse/core";
import type { OperatorCaller } from "../orgs/authenticate-operator.ts";
import type { Member, MemberRecords } from "../orgs/org-records.ts";
import { isAtLeast, mayDo } from "../orgs/roles.ts";
import type { Page } from "../page.ts";
import type { MemberSession } from "./people-records.ts";
import { type SignOutTransaction, withdrawOfSessions } from "./sign-out.ts";

export interface SessionTransaction extends SignOutTransaction {
  readonly members: MemberRecords;
}

export interface SessionsOf {
  readonly caller: OperatorCaller;
  /** Empty: the caller. */
  readonly name: string;
}

/** A session, and the name of its member. */
export interface ListedSession extends MemberSession {
  readonly member: string;
}

/**
 * The browsers in which a member is signed in: one's own, or with `session:manage` another's. Looking at another's is on
 * record. Fails with `auth.forbidden`, `members.not_found`.
 */
export async function listSessions(
  tx: SessionTransaction,
  asked: SessionsOf,
  page: Page,
): Promise<readonly ListedSession[]> {
  const member = await findOwner(tx, asked);
  if (member.id !== asked.caller.memberId) await report(tx, "sessions.listed", { ...asked, name: member.name });
  const sessions = await tx.memberSessions.listOfMember(member.id, page);
  return sessions.map((session) => ({ ...session, member: member.name }));
}

/** Of which sessions to end: one, or all but one. */
export type EndedSessions = { readonly id: string } | { readonly allBut: string | undefined };

/**
 * Ends sessions: one's own, or with `session:manage` those of a member who may no more than the caller. Answers how
 * many. Fails with `auth.forbidden`, `members.not_found`, `sessions.not_found`.
 */
export async function endSessions(
  tx: SessionTransaction,
  asked: SessionsOf & { readonly which: EndedSessions },
): Promise<number> {
  const member = await findOwner(tx, asked);
  if (!isAtLeast(asked.caller.role, member.role) && member.id !== asked.caller.memberId) {
    throw new Problem("auth.forbidden");
  }
  const { which } = asked;
  const all = await tx.memberSessions.listOfMember(member.id);
  const ended = all.filter(({ id }) => ("id" in which ? id === which.id : id !== which.allBut));
  if ("id" in which && ended.length === 0) throw new Problem("sessions.not_found");
  for (const { id } of ended) await tx.memberSessions.remove(id);
  const by = `operator:${asked.caller.member}`;
  await withdrawOfSessions(tx, { ids: ended.map(({ id }) => id), member: member.name, by });
  // Which of them allowed a machine that has not fetched its key is not known.
  await tx.deviceGrants.removeOfMember(member.id);
  await report(tx, "sessions.ended", { ...asked, name: member.name, count: ended.length });
  return ended.length;
}

async function findOwner(tx: SessionTransaction, { caller, name }: SessionsOf): Promise<Member> {
  const isOwn = name === "" || name === caller.member;
  if (!isOwn && !mayDo(caller.role, "session:manage")) throw new Problem("auth.forbidden");
  const member = isOwn ? await tx.members.find(caller.memberId) : await tx.members.findByName(name);
  if (member === undefined) throw new Problem("members.not_found");
  return member;
}

async function report(tx: SessionTransaction, kind: string, { caller, name, count }: SessionsOf & { count?: number }) {
  const data = { member: name, ...(count === undefined ? {} : { count }) };
  await tx.audit.append({ kind, actor: `operator:${caller.member}`, data });
}
