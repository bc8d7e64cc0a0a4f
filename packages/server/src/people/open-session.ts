import { base64url, makeUuid, type Random } from "@gatehouse/core";
import { sha256 } from "@gatehouse/kit";
import type { AuditTrail } from "../audit/audit-trail.ts";
import type { Member, Role } from "../orgs/org-records.ts";
import { lesserRole } from "../orgs/roles.ts";
import type { MemberSessionRecords } from "./people-records.ts";

export interface OpenSessionTransaction {
  readonly now: () => number;
  readonly audit: AuditTrail;
  readonly memberSessions: MemberSessionRecords;
}

/** Where a person signs in, as far as the server can tell. */
export interface Visitor {
  /** What the browser says it is. */
  readonly browser: string;
  readonly address: string;
}

/** Why a session is opened, and what it is worth. */
export interface Admission {
  readonly member: Member;
  readonly role: Role;
  readonly by: "provider" | "password" | "link";
}

export interface SignedIn {
  /** The cookie's value. It is not stored. */
  readonly token: string;
  readonly memberId: string;
  readonly member: string;
}

export const SESSION_TTL_MS = 12 * 3_600_000;

/** Of one member at once; the oldest gives way. */
export const MAX_SESSIONS = 32;

/** Opens a session of a member in one browser. */
export async function openSession(
  tx: OpenSessionTransaction,
  { member, role, by }: Admission,
  { visitor, random }: { readonly visitor: Visitor; readonly random: Random },
): Promise<SignedIn> {
  const token = base64url(random.bytes(32));
  const id = makeUuid(tx.now(), random);
  const times = { expiresAt: tx.now() + SESSION_TTL_MS };
  const before = await tx.memberSessions.listOfMember(member.id);
  for (const oldest of before.slice(MAX_SESSIONS - 1)) await tx.memberSessions.remove(oldest.id);
  await tx.memberSessions.insert({ id, memberId: member.id, tokenSha256: sha256(token), role, ...times, ...visitor });
  const data = { session: id, role: lesserRole(role, member.role), by };
  await tx.audit.append({ kind: "sign_in.succeeded", actor: `operator:${member.name}`, data });
  return { token, memberId: member.id, member: member.name };
}
