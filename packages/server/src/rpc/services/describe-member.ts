import { Problem } from "@gatehouse/core";
import { Role as WireRole } from "@gatehouse/wire";
import type { ApiKey, Role } from "../../orgs/org-records.ts";
import type { ListedSession } from "../../people/end-sessions.ts";
import type { ListedMember } from "../../people/list-people.ts";

/** Roles as they are sent. */
export const ROLES = {
  viewer: WireRole.VIEWER,
  operator: WireRole.OPERATOR,
  admin: WireRole.ADMIN,
  owner: WireRole.OWNER,
} as const satisfies Readonly<Record<Role, WireRole>>;

/** Fails with `api.malformed`. */
export function toRole(wire: WireRole): Role {
  const found = (Object.keys(ROLES) as Role[]).find((role) => ROLES[role] === wire);
  if (found === undefined) throw new Problem("api.malformed", { detail: "role is missing." });
  return found;
}

export function describeMember({ name, role, createdAt, hasPassword, hasIdentity, linkExpiresAt }: ListedMember) {
  const times = { createdAt: BigInt(createdAt), linkExpiresAt: BigInt(linkExpiresAt ?? 0) };
  return { name, role: ROLES[role], hasPassword, hasIdentity, ...times };
}

export function describeSession({ createdAt, lastSeenAt, expiresAt, ...session }: ListedSession) {
  const { id, member, browser, address } = session;
  const times = { createdAt: BigInt(createdAt), lastSeenAt: BigInt(lastSeenAt), expiresAt: BigInt(expiresAt) };
  return { id, member, browser, address, ...times };
}

export function describeKey(key: ApiKey, member: string) {
  const { id, label, prefix, role, createdAt, expiresAt, lastUsedAt } = key;
  return {
    id,
    label,
    prefix,
    member,
    role: ROLES[role ?? "viewer"],
    createdAt: BigInt(createdAt),
    expiresAt: BigInt(expiresAt),
    lastUsedAt: BigInt(lastUsedAt ?? 0),
  };
}
