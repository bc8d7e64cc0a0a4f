import {
  type CredentialBinding,
  constantTimeEqual,
  fromBase64url,
  Problem,
  parseResourceName,
  toProblem,
} from "@gatehouse/core";
import type { RosterDocument } from "../keys/roster-document.ts";
import {
  type FleetCredential,
  type FleetGrant,
  type ManifestEntry,
  readCredentialPart,
  readGrantPart,
} from "./bundle-document.ts";
import { isSealedBy } from "./sealed-credential.ts";

/** A credential that is not served for what is wrong with it, while the rest of its bundle is. */
export interface RefusedCredential {
  /** As the manifest says: nobody else vouched for it. */
  readonly credentialId: string;
  /** As the part says; absent where it says none that could be one. */
  readonly name?: string;
  readonly problem: Problem;
}

/** A line of a manifest with what it names. */
export interface NamedPart extends ManifestEntry {
  readonly content: string;
}

export interface CredentialParts {
  readonly credentials: readonly NamedPart[];
  readonly grants: readonly NamedPart[];
}

interface Organisation {
  readonly orgId: string;
  readonly orgKey: Uint8Array;
}

export interface VouchedCredentials {
  readonly credentials: readonly FleetCredential[];
  readonly grants: readonly FleetGrant[];
  readonly refused: readonly RefusedCredential[];
}

/**
 * Parts the credentials that an operator of the roster, or the org key, signed, with grants that stay within what was
 * sealed, from the others. Fails with `bundle.refused` for two of one name, of which nobody can say which is meant, and
 * for a grant without a credential.
 */
export function vouchCredentials(
  parts: CredentialParts,
  { operator_keys }: Pick<RosterDocument, "operator_keys">,
  { orgId, orgKey }: Organisation,
): VouchedCredentials {
  const signers = [orgKey, ...operator_keys.map((key) => fromBase64url(key) ?? new Uint8Array())];
  const grantOf = new Map(parts.grants.map((part) => [part.id, part]));
  const [credentials, grants, refused]: [FleetCredential[], FleetGrant[], RefusedCredential[]] = [[], [], []];
  for (const part of parts.credentials) {
    const granted = grantOf.get(part.id);
    grantOf.delete(part.id);
    try {
      const credential = readVouched(part, signers, orgId);
      const grant = granted === undefined ? [] : [readWithin(granted, credential)];
      credentials.push(credential);
      grants.push(...grant);
    } catch (failure) {
      refused.push({ credentialId: part.id, ...nameIn(part), problem: toProblem(failure) });
    }
  }
  const [orphan] = grantOf.values();
  if (orphan !== undefined) throw refusal("A grant has no credential.");
  if (new Set(credentials.map(({ name }) => name)).size !== credentials.length)
    throw refusal("It has two of one name.");
  return { credentials, grants, refused };
}

function readVouched({ id, version, content }: NamedPart, signers: readonly Uint8Array[], orgId: string) {
  const credential = readCredentialPart(content);
  if (credential.credentialId !== id || credential.version !== version) {
    throw refusal("It is not the one that the manifest names.");
  }
  const isKnown = signers.some((key) => constantTimeEqual(key, credential.signer));
  if (!isKnown) throw new Problem("credentials.refused", { detail: "Its signer is no operator of the roster." });
  if (!isSealedBy({ ...credential, orgId, endpoints: [] }, credential)) {
    throw new Problem("credentials.refused", { detail: "Its signature does not hold." });
  }
  return { ...credential, name: parseResourceName(credential.name) };
}

function readWithin({ content }: NamedPart, credential: FleetCredential): FleetGrant {
  const grant = readGrantPart(content);
  if (grant.credentialId !== credential.credentialId || grant.name !== credential.name) {
    throw refusal("Its grant is of another credential.");
  }
  if (grant.bindings.every((binding) => credential.bindings.some((sealed) => isWithin(binding, sealed)))) return grant;
  throw refusal("Its grant reaches outside what was sealed.");
}

/** Whether a binding says nothing that the sealed one does not say too. */
function isWithin(binding: CredentialBinding, sealed: CredentialBinding): boolean {
  const isSlot = binding.header.toLowerCase() === sealed.header.toLowerCase() && binding.format === sealed.format;
  return (
    isSlot &&
    binding.hosts.every((host) => sealed.hosts.includes(host)) &&
    isNarrower(binding.methods, sealed.methods) &&
    isNarrower(binding.paths, sealed.paths)
  );
}

/** Absent is everything, so that only a list is narrower than a list. */
function isNarrower(list: readonly string[] | undefined, sealed: readonly string[] | undefined): boolean {
  return sealed === undefined || (list?.every((one) => sealed.includes(one)) ?? false);
}

/** For people to look for. Nothing else is done by it. */
function nameIn({ content }: NamedPart): { readonly name?: string } {
  try {
    return { name: parseResourceName(readCredentialPart(content).name) };
  } catch {
    return {};
  }
}

function refusal(detail: string): Problem {
  return new Problem("bundle.refused", { detail });
}
