import { Problem } from "@gatehouse/core";
import { sha256 } from "@gatehouse/kit";
import { API_KEY_FORM } from "./api-key.ts";
import type { ApiKeyRecords, MemberRecords, Role } from "./org-records.ts";
import { lesserRole } from "./roles.ts";

/** What a member is known by at a call: the id of a key, or of the session of a browser. */
export type Authority = `key:${string}` | `session:${string}`;

/** A member as a key or a browser of theirs makes calls. */
export interface OperatorCaller {
  readonly orgId: string;
  readonly memberId: string;
  readonly member: string;
  readonly role: Role;
  readonly authority: Authority;
  /** When the key or the session ends that it is known by. */
  readonly expiresAt: number;
}

interface OperatorTransaction {
  readonly now: () => number;
  readonly apiKeys: ApiKeyRecords;
  readonly members: MemberRecords;
}

export interface AuthenticateOperatorDeps {
  readonly store: {
    findOrg(kind: "api_key", sha256: Uint8Array): Promise<string | undefined>;
    inOrg<T>(orgId: string, work: (tx: OperatorTransaction) => Promise<T>): Promise<T>;
  };
}

/** How exact `last used` is: not every call writes. */
const TOUCH_EVERY_MS = 60_000;

/** Knows a member by an API key. A node's key is unknown here; whatever is wrong fails alike with `auth.refused`. */
export async function authenticateOperator(key: string, deps: AuthenticateOperatorDeps): Promise<OperatorCaller> {
  if (!API_KEY_FORM.test(key) || !key.startsWith("gha_")) throw new Problem("auth.refused");
  const keySha256 = sha256(key);
  const orgId = await deps.store.findOrg("api_key", keySha256);
  if (orgId === undefined) throw new Problem("auth.refused");
  return deps.store.inOrg(orgId, async (tx) => {
    const found = await tx.apiKeys.findByHash(keySha256);
    const member = found?.memberId === undefined ? undefined : await tx.members.find(found.memberId);
    if (found?.role === undefined || member === undefined) throw new Problem("auth.refused");
    const now = tx.now();
    if (found.revokedAt !== undefined || found.expiresAt <= now) throw new Problem("auth.refused");
    if (now - (found.lastUsedAt ?? 0) > TOUCH_EVERY_MS) await tx.apiKeys.touch(found.id);
    const role = lesserRole(found.role, member.role);
    const own = { orgId, memberId: member.id, member: member.name, role };
    return { ...own, authority: `key:${found.id}`, expiresAt: found.expiresAt };
  });
}
