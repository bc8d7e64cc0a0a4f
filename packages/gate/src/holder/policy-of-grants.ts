import type { NetworkPolicyInput, PolicyRule } from "@gatehouse/core";
import type { CredentialInfo } from "../credentials/credential-store.ts";
import type { Template } from "../credentials/templates.ts";

/** A run's policy with what its grants bring. */
export interface GrantedPolicy {
  readonly policy: NetworkPolicyInput;
  /** Hosts that the grants opened. */
  readonly allowed: readonly string[];
  /** One for each grant, in order; absent for hosts of one's own. */
  readonly templates: readonly (Template | undefined)[];
}

/**
 * Grants open their hosts behind the person's own rules, which stand, and close the endpoints that hand out
 * credentials before them.
 */
export function policyOfGrants(
  written: NetworkPolicyInput,
  granted: readonly CredentialInfo[],
  known: ReadonlyMap<string, Template>,
): GrantedPolicy {
  const templates = granted.map(({ service }) => (service === undefined ? undefined : known.get(service)));
  const bound = granted.flatMap(({ bindings }) => bindings.flatMap(({ hosts }) => hosts));
  const allowed = [...new Set([...bound, ...templates.flatMap((template) => template?.allow ?? [])])];
  const guards = [...(written.guards ?? []), ...templates.flatMap(guardsOf)];
  return { allowed, templates, policy: { ...written, guards, granted: allowed } };
}

function guardsOf(template: Template | undefined): readonly PolicyRule[] {
  return (template?.denied ?? []).map(({ hosts, methods, paths }) => ({
    action: "deny",
    hosts,
    paths,
    ...(methods === undefined ? {} : { methods }),
    reason: "It hands out credentials of a granted service.",
  }));
}
