import { Problem } from "@gatehouse/core";
import { Role } from "@gatehouse/wire";

const ROLES = { viewer: Role.VIEWER, operator: Role.OPERATOR, admin: Role.ADMIN, owner: Role.OWNER } as const;

/** A role as a person writes it. Fails with `usage.invalid`. */
export function readRole(text: string): Role {
  const found = Object.hasOwn(ROLES, text) ? ROLES[text as keyof typeof ROLES] : undefined;
  if (found === undefined) {
    throw new Problem("usage.invalid", { detail: `--role is one of ${Object.keys(ROLES).join(", ")}.` });
  }
  return found;
}

/** A role as it is printed. */
export function roleName(role: Role): string {
  return Role[role].toLowerCase();
}
