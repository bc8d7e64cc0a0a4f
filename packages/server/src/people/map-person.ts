import type { Role } from "../orgs/org-records.ts";
import { isAtLeast } from "../orgs/roles.ts";

/** Which of a provider's people are let in, and as what. Whoever no rule names is not. */
export interface SignInRules {
  /** The claim whose values `roles` names: `groups`, say. */
  readonly roleClaim: string;
  readonly roles: Readonly<Record<string, Role>>;
  /** Domains of e-mail addresses that the provider verified. */
  readonly emailDomains: Readonly<Record<string, Role>>;
}

/** What a provider says of a person. */
export type Claims = Readonly<Record<string, unknown>>;

/** The greatest role that a rule gives a person; `undefined`: none does. */
export function mapPerson(claims: Claims, rules: SignInRules): Role | undefined {
  const stated = claims[rules.roleClaim];
  const values: readonly unknown[] = Array.isArray(stated) ? stated : [stated];
  const named = values.map((value) => (typeof value === "string" ? own(rules.roles, value) : undefined));
  const domain = verifiedDomain(claims);
  const all = [...named, domain === undefined ? undefined : own(rules.emailDomains, domain)];
  return all.reduce((best, one) => (best === undefined || (one !== undefined && isAtLeast(one, best)) ? one : best));
}

/** How a new member is called: by the first part of the address that the provider verified, else by its user name. */
export function proposedName(claims: Claims): string {
  const address = verifiedDomain(claims) === undefined ? undefined : String(claims.email).split("@")[0];
  const text = address ?? (typeof claims.preferred_username === "string" ? claims.preferred_username : "");
  const name = text
    .toLowerCase()
    .replace(/[^a-z0-9_-]+/g, "-")
    .replace(/^[^a-z0-9]+|-+$/g, "")
    .slice(0, 40);
  return name === "" ? "person" : name;
}

function verifiedDomain({ email, email_verified: isVerified }: Claims): string | undefined {
  if (typeof email !== "string" || isVerified !== true) return undefined;
  const parts = email.split("@");
  return parts.length === 2 && parts[0] !== "" ? parts[1]?.toLowerCase() : undefined;
}

function own<T>(table: Readonly<Record<string, T>>, name: string): T | undefined {
  return Object.hasOwn(table, name) ? table[name] : undefined;
}
