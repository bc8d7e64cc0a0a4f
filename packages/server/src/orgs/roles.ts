import type { Permission } from "@gatehouse/wire";
import type { Role } from "./org-records.ts";

const READS = [
  "org:read",
  "node:read",
  "run:read",
  "credential:read",
  "policy:read",
  "key:own",
] as const satisfies readonly Permission[];

/** What each role may do; each holds the ones above it. */
const GRANTED = {
  viewer: READS,
  operator: [...READS, "node:command", "audit:read"],
  admin: [
    ...READS,
    "node:command",
    "audit:read",
    "node:manage",
    "credential:manage",
    "policy:manage",
    "session:manage",
  ],
  owner: [
    ...READS,
    "node:command",
    "audit:read",
    "node:manage",
    "credential:manage",
    "policy:manage",
    "session:manage",
    "member:manage",
    "org:manage",
  ],
} as const satisfies Readonly<Record<Role, readonly Permission[]>>;

const ORDER = ["viewer", "operator", "admin", "owner"] as const satisfies readonly Role[];

export function mayDo(role: Role, permission: Permission): boolean {
  const granted: readonly Permission[] = GRANTED[role];
  return granted.includes(permission);
}

/** The first role that may do it. */
export function leastRole(permission: Permission): Role {
  return ORDER.find((role) => mayDo(role, permission)) ?? "owner";
}

/** Whether a role holds everything that the other one holds. */
export function isAtLeast(role: Role, other: Role): boolean {
  return ORDER.indexOf(role) >= ORDER.indexOf(other);
}

/** The lesser of two roles: a key never does more than its member. */
export function lesserRole(a: Role, b: Role): Role {
  return isAtLeast(a, b) ? b : a;
}
