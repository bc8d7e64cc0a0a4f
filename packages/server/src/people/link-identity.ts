import { Problem } from "@gatehouse/core";
import type { EndTransaction } from "../commands/end-command.ts";
import type { MemberRecords } from "../orgs/org-records.ts";
import type { SessionCaller } from "./authenticate-session.ts";
import type { PasswordRecords } from "./password-records.ts";
import type { IdentityRecords, MemberSessionRecords } from "./people-records.ts";
import { withdrawOfSessions } from "./sign-out.ts";

interface LinkTransaction extends EndTransaction {
  readonly members: Pick<MemberRecords, "find">;
  readonly identities: IdentityRecords;
  readonly passwords: PasswordRecords;
  readonly memberSessions: MemberSessionRecords;
}

/** Somebody at a provider. */
export interface ProviderPerson {
  readonly issuer: string;
  readonly subject: string;
}

/**
 * Lets a provider's person sign in as a member from now on; the rules still say whether, and as what at most. Fails with
 * `signin.identity_taken` when they are another member, or the member is another person there. Who was a member that was
 * removed may be linked: an owner let whoever has both in anew.
 */
export async function linkIdentity(
  tx: LinkTransaction,
  { caller, person }: { readonly caller: SessionCaller; readonly person: ProviderPerson },
): Promise<void> {
  const { issuer, subject } = person;
  const { memberId, member } = caller;
  const known = await tx.identities.find(issuer, subject);
  if (known?.memberId === memberId) return;
  const isSomebodyThere = (await tx.identities.listOfMember(memberId)).some((one) => one.issuer === issuer);
  const isTaken = known !== undefined && (await tx.members.find(known.memberId)) !== undefined;
  if (isTaken || isSomebodyThere) throw new Problem("signin.identity_taken");
  if (known !== undefined) await tx.identities.removeOfMember(known.memberId, issuer);
  await tx.identities.insert({ issuer, subject, memberId });
  await tx.audit.append({ kind: "identity.linked", actor: `operator:${member}`, data: { member, issuer, subject } });
}

/** Takes that back, and ends the member's other sessions. Who has no password keeps it: nothing else would let them in. */
export async function unlinkIdentity(
  tx: LinkTransaction,
  { caller, issuer }: { readonly caller: SessionCaller; readonly issuer: string },
): Promise<void> {
  const { memberId, member, sessionId } = caller;
  if ((await tx.passwords.find(memberId)) === undefined) throw new Problem("auth.forbidden");
  if (!(await tx.identities.removeOfMember(memberId, issuer))) return;
  const ended = await tx.memberSessions.removeOfMember(memberId, sessionId);
  await withdrawOfSessions(tx, { ids: ended, member, by: `operator:${member}` });
  await tx.audit.append({ kind: "identity.unlinked", actor: `operator:${member}`, data: { member, issuer } });
}
