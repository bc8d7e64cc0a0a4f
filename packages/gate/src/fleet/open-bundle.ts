import { isDeepStrictEqual } from "node:util";
import {
  base64url,
  compilePolicy,
  credentialTuple,
  Problem,
  parseResourceName,
  type ResourceName,
  toProblem,
} from "@gatehouse/core";
import type { FleetCredential, FleetGrant, RefusedCredential, VerifiedBundle } from "@gatehouse/kit";
import type { FlattenedJWE } from "jose";
import { type Binding, requireBindings } from "../credentials/binding.ts";
import { parseCredentialValue } from "../credentials/credential-value.ts";
import type { NodeKey } from "../credentials/node-key.ts";
import { open } from "../credentials/seal.ts";
import type { Template } from "../credentials/templates.ts";
import type { FleetState } from "./fleet-file.ts";

/** A grant of the organisation that this node can serve. */
export interface FleetEntry {
  readonly id: string;
  readonly name: ResourceName;
  readonly version: number;
  readonly service: string | undefined;
  readonly bindings: readonly Binding[];
  readonly jwe: FlattenedJWE;
  /** What it was sealed under. */
  readonly aad: Uint8Array;
}

export interface OpenBundleDeps {
  readonly orgId: string;
  readonly key: NodeKey;
  readonly templates: ReadonlyMap<string, Template>;
}

/** What of a verified bundle is served. */
export interface OpenedBundle {
  readonly entries: ReadonlyMap<string, FleetEntry>;
  /** Signed by who may, and not older than what was served before: what the node remembers. */
  readonly taken: readonly FleetCredential[];
  /** Credentials that are not served, for what is wrong with each alone. */
  readonly refused: readonly RefusedCredential[];
}

/**
 * The grants of a verified bundle, each of which was seen to open. Nothing that was taken back is among them. A credential
 * of an older version than was served before, another one of the same version, or one that is not sealed to this node is
 * refused alone. Fails with `policy.invalid` for a policy that this version cannot hold.
 */
export async function openBundle(
  { credentials, grants, policies, refused }: VerifiedBundle,
  { seen, revoked }: FleetState,
  deps: OpenBundleDeps,
): Promise<OpenedBundle> {
  for (const { document } of policies) compilePolicy(JSON.parse(document));
  const isLive = ({ credentialId }: Pick<FleetCredential, "credentialId">) => !revoked.has(credentialId);
  const entries = new Map<string, FleetEntry>();
  const taken: FleetCredential[] = [];
  const unserved = refused.filter(isLive);
  for (const credential of credentials.filter(isLive)) {
    const { credentialId, name } = credential;
    try {
      requireNotOlder(credential, seen);
      taken.push(credential);
      const grant = grants.find((one) => one.credentialId === credentialId);
      if (grant !== undefined) entries.set(grant.name, await openEntry(credential, grant, deps));
    } catch (failure) {
      unserved.push({ credentialId, name, problem: toProblem(failure) });
    }
  }
  return { entries, taken, refused: unserved };
}

/**
 * What was seen, with a bundle's credentials among it. A name that is another credential's now stays that one's: the one
 * before was taken back, whether this node was told so or not.
 */
export function noteSeen(
  taken: readonly FleetCredential[],
  { seen, revoked }: FleetState,
): Pick<FleetState, "seen" | "revoked"> {
  const next = new Map(seen);
  for (const { credentialId, version, name, signature } of taken) {
    next.set(credentialId, { version, signature: base64url(signature), name });
  }
  const holders = new Map(taken.map(({ name, credentialId }) => [name, credentialId]));
  const replaced = [...next].filter(([id, { name = "" }]) => (holders.get(name) ?? id) !== id);
  return { seen: next, revoked: new Set([...revoked, ...replaced.map(([id]) => id)]) };
}

function requireNotOlder({ credentialId, version, signature }: FleetCredential, seen: FleetState["seen"]): void {
  const newest = seen.get(credentialId);
  if (newest === undefined || version > newest.version) return;
  if (version < newest.version) throw refused("A credential is older than one that was served.");
  if (base64url(signature) !== newest.signature) throw refused("There are two of one version of a credential.");
}

async function openEntry(
  credential: FleetCredential,
  grant: FleetGrant,
  { orgId, key, templates }: OpenBundleDeps,
): Promise<FleetEntry> {
  const { credentialId: id, version, kind } = credential;
  if (kind !== "static") throw refused("A credential is of a kind that this version does not know.");
  const bindings = requireBindings(grant.bindings);
  const aad = credentialTuple({ ...credential, orgId, endpoints: [] });
  const jwe = JSON.parse(credential.jwe) as FlattenedJWE;
  parseCredentialValue((await open(key, jwe, aad)).reveal());
  const service = serviceOf(bindings, templates);
  return { id, name: parseResourceName(grant.name), version, service, bindings, jwe, aad };
}

/** The service whose template binds to the same places: what it closes holds for the organisation's credential too. */
function serviceOf(bindings: readonly Binding[], templates: OpenBundleDeps["templates"]): string | undefined {
  const all = [...templates.values()];
  const same = all.find((template) => isDeepStrictEqual(template.bindings, bindings));
  const hosts = new Set(bindings.flatMap((binding) => binding.hosts));
  const near = () => all.find((template) => template.bindings.some((one) => one.hosts.some((host) => hosts.has(host))));
  return (same ?? near())?.service;
}

function refused(detail: string): Problem {
  return new Problem("bundle.refused", { detail });
}
