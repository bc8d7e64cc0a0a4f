import { makeUuid, Problem, type Random, toHex } from "@gatehouse/core";
import { sha256 } from "@gatehouse/kit";
import type { Member, MemberRecords, Role } from "../orgs/org-records.ts";
import { type Claims, proposedName } from "./map-person.ts";
import { type OpenSessionTransaction, openSession, type SignedIn, type Visitor } from "./open-session.ts";
import type { IdentityRecords } from "./people-records.ts";

export interface SignInTransaction extends OpenSessionTransaction {
  readonly members: MemberRecords;
  readonly identities: IdentityRecords;
}

/** A person whom the provider knows and a rule names; `role` is `undefined` where none does. */
export interface Person {
  readonly issuer: string;
  readonly claims: Claims & { readonly sub: string };
  readonly role: Role | undefined;
}

/**
 * Opens a session for a person, as the member that they are or become. Who is not named by a rule, or was removed, gets
 * `undefined`: the refusal itself is on record then, and nothing else was written.
 */
export async function completeSignIn(
  tx: SignInTransaction,
  person: Person,
  { visitor, random }: { readonly visitor: Visitor; readonly random: Random },
): Promise<SignedIn | undefined> {
  const { issuer, claims, role } = person;
  const known = await tx.identities.find(issuer, claims.sub);
  const member = known === undefined ? undefined : await tx.members.find(known.memberId);
  const reason = role === undefined ? "no_rule" : known !== undefined && member === undefined ? "removed" : undefined;
  if (role === undefined || reason !== undefined) {
    const data = { reason: reason ?? "no_rule", issuer, subject: claims.sub };
    await tx.audit.append({ kind: "sign_in.refused", actor: "server", data });
    return undefined;
  }
  const own = member ?? (await admit(tx, { ...person, role }, random));
  return openSession(tx, { member: own, role, by: "provider" }, { visitor, random });
}

/** A new member. A name that somebody has is never taken over: it says nothing about who the person is. */
async function admit(
  tx: SignInTransaction,
  { issuer, claims, role }: Person & { readonly role: Role },
  random: Random,
): Promise<Member> {
  const proposed = proposedName(claims);
  const isTaken = (await tx.members.findByName(proposed)) !== undefined;
  const name = isTaken ? `${proposed}-${toHex(sha256(issuer, "\0", claims.sub)).slice(0, 12)}` : proposed;
  if (isTaken && (await tx.members.findByName(name)) !== undefined) throw new Problem("members.exists");
  const id = makeUuid(tx.now(), random);
  await tx.members.insert({ id, name, role });
  await tx.identities.insert({ issuer, subject: claims.sub, memberId: id });
  await tx.audit.append({ kind: "member.added", actor: "server", data: { member: name, role, issuer } });
  return { id, name, role, createdAt: tx.now() };
}

/** Ends a session. */
export async function signOut(
  tx: SignInTransaction,
  { id, member }: { readonly id: string; readonly member: string },
): Promise<void> {
  await tx.memberSessions.remove(id);
  await tx.audit.append({ kind: "sign_out", actor: `operator:${member}`, data: { session: id } });
}
