import { Problem } from "@gatehouse/core";
import { sha256 } from "@gatehouse/kit";
import type { OperatorCaller } from "../orgs/authenticate-operator.ts";
import type { MemberRecords } from "../orgs/org-records.ts";
import { lesserRole } from "../orgs/roles.ts";
import type { MemberSessionRecords } from "./people-records.ts";

interface SessionTransaction {
  readonly now: () => number;
  readonly members: MemberRecords;
  readonly memberSessions: MemberSessionRecords;
}

export interface AuthenticateSessionDeps {
  readonly store: {
    findOrg(kind: "session", sha256: Uint8Array): Promise<string | undefined>;
    inOrg<T>(orgId: string, work: (tx: SessionTransaction) => Promise<T>): Promise<T>;
  };
}

/** A member in a browser. */
export interface SessionCaller extends OperatorCaller {
  readonly sessionId: string;
}

/** How exact `last seen` is: not every call writes. */
const TOUCH_EVERY_MS = 60_000;

const TOKEN_FORM = /^[A-Za-z0-9_-]{43}$/;

/** Knows a member by a session's token. Whatever is wrong fails alike with `auth.refused`. */
export async function authenticateSession(token: string, { store }: AuthenticateSessionDeps): Promise<SessionCaller> {
  if (!TOKEN_FORM.test(token)) throw new Problem("auth.refused");
  const hash = sha256(token);
  const orgId = await store.findOrg("session", hash);
  if (orgId === undefined) throw new Problem("auth.refused");
  return store.inOrg(orgId, async (tx) => {
    const session = await tx.memberSessions.findByToken(hash);
    const member = session === undefined ? undefined : await tx.members.find(session.memberId);
    if (session === undefined || member === undefined || session.expiresAt <= tx.now())
      throw new Problem("auth.refused");
    if (tx.now() - session.lastSeenAt > TOUCH_EVERY_MS) await tx.memberSessions.touch(session.id);
    const role = lesserRole(session.role, member.role);
    const own = { orgId, memberId: member.id, member: member.name, role };
    return { ...own, authority: `session:${session.id}`, sessionId: session.id, expiresAt: session.expiresAt };
  });
}
