import { Problem, type Secret } from "@gatehouse/core";
import type { AuditTrail } from "../audit/audit-trail.ts";
import type { FailureBudget } from "../limits/failure-budget.ts";
import type { OrgRecords } from "../orgs/org-records.ts";
import type { SessionCaller } from "./authenticate-session.ts";
import { judgePassword } from "./judge-password.ts";
import type { PasswordRecords } from "./password-records.ts";
import type { Passwords } from "./passwords.ts";
import { type SignOutTransaction, signOut } from "./sign-out.ts";

interface ChangePasswordTransaction extends SignOutTransaction {
  readonly audit: AuditTrail;
  readonly org: OrgRecords;
  readonly passwords: PasswordRecords;
}

export interface ConfirmPasswordDeps {
  readonly store: {
    inOrg<T>(orgId: string, work: (tx: ChangePasswordTransaction) => Promise<T>): Promise<T>;
  };
  readonly passwords: Passwords;
  readonly budget: FailureBudget;
}

/**
 * Makes sure that the person at a session is still the one who knows its member's password. Fails with
 * `signin.wrong_password`, `auth.slow_down`. Answers the hash that it held against.
 */
export async function confirmPassword(
  { caller, password }: { readonly caller: SessionCaller; readonly password: Secret },
  { store, passwords, budget }: ConfirmPasswordDeps,
): Promise<string> {
  const who = `session:${caller.sessionId}`;
  budget.check(who);
  budget.spend(who);
  const stored = await store.inOrg(caller.orgId, (tx) => tx.passwords.find(caller.memberId));
  if (!(await passwords.isRight(password, stored, "known")) || stored === undefined) {
    const entry = { kind: "password.refused", actor: `operator:${caller.member}`, data: { session: caller.sessionId } };
    await store.inOrg(caller.orgId, (tx) => tx.audit.append(entry));
    throw new Problem("signin.wrong_password");
  }
  budget.forgive(who);
  return stored;
}

export interface PasswordChange {
  readonly caller: SessionCaller;
  readonly current: Secret;
  readonly next: Secret;
}

/**
 * Puts a new password in the place of the current one, and signs the member out everywhere else. Fails with
 * `signin.wrong_password`, `signin.weak_password`, `auth.slow_down`.
 */
export async function changePassword(
  { caller, current, next }: PasswordChange,
  deps: ConfirmPasswordDeps,
): Promise<void> {
  const { store, passwords } = deps;
  const before = await confirmPassword({ caller, password: current }, deps);
  const { name: org } = await store.inOrg(caller.orgId, (tx) => tx.org.get());
  judgePassword(next, { member: caller.member, org });
  const hash = await passwords.hash(next);
  await store.inOrg(caller.orgId, async (tx) => {
    // An owner who reset it meanwhile wins.
    if ((await tx.passwords.find(caller.memberId)) !== before) throw new Problem("signin.wrong_password");
    await tx.passwords.put(caller.memberId, hash);
    const actor = `operator:${caller.member}`;
    const member = { id: caller.memberId, name: caller.member };
    await signOut(tx, { member, by: actor, keptId: caller.sessionId });
    await tx.audit.append({ kind: "password.changed", actor, data: { member: caller.member } });
  });
}
