import { setTimeout as wait } from "node:timers/promises";
import { Problem, type Random, type Secret } from "@gatehouse/core";
import { sha256 } from "@gatehouse/kit";
import type { FailureBudget } from "../limits/failure-budget.ts";
import type { Member, MemberRecords } from "../orgs/org-records.ts";
import { readKnownBrowser } from "./known-browser.ts";
import { type OpenSessionTransaction, openSession, type SignedIn, type Visitor } from "./open-session.ts";
import type { PasswordRecords } from "./password-records.ts";
import type { PasswordHash, Passwords } from "./passwords.ts";

interface PasswordTransaction extends OpenSessionTransaction {
  readonly members: MemberRecords;
  readonly passwords: PasswordRecords;
}

export interface SignInByPasswordDeps {
  readonly store: {
    findOrg(kind: "org_name", sha256: Uint8Array): Promise<string | undefined>;
    inOrg<T>(orgId: string, work: (tx: PasswordTransaction) => Promise<T>): Promise<T>;
  };
  readonly passwords: Passwords;
  readonly budget: FailureBudget;
  readonly random: Random;
  readonly macKey: Uint8Array;
  readonly now: () => number;
}

export interface SignInAttempt {
  readonly org: string;
  readonly name: string;
  readonly password: Secret;
  readonly visitor: Visitor;
  /** What of the address counts as one caller. */
  readonly network: string;
  /** The cookie by which a browser says that its member signed in there before. */
  readonly knownBrowser: string | undefined;
}

/** Of no organisation: nothing is found there, at the price of a look. */
const NO_ORG = "";
/** A refusal takes as long as this whatever it is for: what is put on record before it must not tell. */
const REFUSAL_MS = 500;

/**
 * Opens a session for whoever knows a member's password. Everything that is wrong fails alike with `signin.wrong`, after
 * the same work and the same time. Fails with `auth.slow_down` for an address, or a browser in which the member signed
 * in before, that failed too often: failures elsewhere keep nobody out. Fails with `server.busy`.
 */
export async function signInByPassword(
  attempt: SignInAttempt,
  deps: SignInByPasswordDeps,
): Promise<SignedIn & { readonly orgId: string }> {
  const refusable = wait(REFUSAL_MS);
  const orgId = await deps.store.findOrg("org_name", sha256(attempt.org));
  const found = await deps.store.inOrg(orgId ?? NO_ORG, (tx) => findMember(tx, attempt.name));
  const browser = knownTo(found?.member, { attempt, deps, orgId });
  const who = browser === undefined ? `network:${attempt.network}` : `browser:${browser}`;
  // Counted before it is known to be one: a thousand at once would all be let through otherwise.
  deps.budget.check(who);
  deps.budget.spend(who);
  const from = browser === undefined ? "unknown" : "known";
  const signedIn = await tryPassword({ attempt, deps, orgId, found, from }).catch((failure: unknown) => {
    // Not the fault of whoever asks.
    deps.budget.forgive(who);
    throw failure;
  });
  if (signedIn !== undefined) {
    deps.budget.forgive(who);
    return signedIn;
  }
  if (orgId !== undefined) await deps.store.inOrg(orgId, (tx) => reportRefusal(tx, attempt, found));
  await refusable;
  throw new Problem("signin.wrong");
}

interface Found {
  readonly member: Member;
  readonly hash: PasswordHash | undefined;
}

async function findMember(tx: PasswordTransaction, name: string): Promise<Found | undefined> {
  const member = await tx.members.findByName(name);
  const hash = await tx.passwords.find(member?.id ?? "");
  return member === undefined ? undefined : { member, hash };
}

interface Context {
  readonly attempt: SignInAttempt;
  readonly deps: SignInByPasswordDeps;
}

function knownTo(
  member: Member | undefined,
  { attempt, deps, orgId = NO_ORG }: Context & { readonly orgId: string | undefined },
): string | undefined {
  if (member === undefined) return undefined;
  const owner = { orgId, memberId: member.id };
  return readKnownBrowser(attempt.knownBrowser, owner, { macKey: deps.macKey, nowMs: deps.now() });
}

interface Trial extends Context {
  readonly orgId: string | undefined;
  readonly found: Found | undefined;
  readonly from: "unknown" | "known";
}

/** `undefined`: it is not right. */
async function tryPassword({ attempt, deps, orgId, found, from }: Trial) {
  const isRight = await deps.passwords.isRight(attempt.password, found?.hash, from);
  if (!isRight || orgId === undefined) return undefined;
  return deps.store.inOrg(orgId, async (tx) => {
    // Read again: what was taken away meanwhile opens nothing.
    const now = await findMember(tx, attempt.name);
    if (now === undefined || now.member.id !== found?.member.id || now.hash !== found.hash) return undefined;
    const { member } = now;
    const admission = { member, role: member.role, by: "password" } as const;
    return { orgId, ...(await openSession(tx, admission, { visitor: attempt.visitor, random: deps.random })) };
  });
}

/** A name that is nobody's is not put on record: people type passwords into the wrong field. */
async function reportRefusal(tx: PasswordTransaction, { visitor }: SignInAttempt, found: Found | undefined) {
  const data = { reason: "password", member: found?.member.name ?? null, address: visitor.address };
  await tx.audit.append({ kind: "sign_in.refused", actor: "server", data });
}
