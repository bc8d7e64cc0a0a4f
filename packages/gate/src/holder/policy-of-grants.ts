import {
  type HostRules,
  matchHostPattern,
  type NetworkPolicyInput,
  type PolicyRule,
  parseHostPattern,
} from "@gatehouse/core";
import type { CredentialInfo } from "../credentials/credential-store.ts";
import type { Template } from "../credentials/templates.ts";
import type { GrantedCredentials } from "../fleet/granted-credentials.ts";
import type { Registration } from "../registry/parse-registration.ts";

/** A run's policy with what its grants bring. */
export interface GrantedPolicy {
  readonly policy: NetworkPolicyInput;
  /** Hosts that the grants opened. */
  readonly allowed: readonly string[];
  /** One for each grant, in order; absent for hosts of one's own. */
  readonly templates: readonly (Template | undefined)[];
}

/**
 * Grants open their hosts behind the person's own rules, which stand, and close before them the endpoints that hand out
 * credentials, and those behind which rules about methods and paths would not hold.
 */
export function policyOfGrants(
  written: NetworkPolicyInput,
  granted: readonly CredentialInfo[],
  known: ReadonlyMap<string, Template>,
): GrantedPolicy {
  const templates = granted.map(({ service }) => (service === undefined ? undefined : known.get(service)));
  const bound = granted.flatMap(({ bindings }) => bindings.flatMap(({ hosts }) => hosts));
  const allowed = [...new Set([...bound, ...templates.flatMap((template) => template?.allow ?? [])])];
  return { allowed, templates, policy: { ...guardedPolicy(written, templates), granted: allowed } };
}

/** A registration under which the stored grants that it names open nothing, and close what they close in any run. */
export function guardRegistration(
  registration: Registration,
  {
    credentials,
    templates,
  }: { readonly credentials: Pick<GrantedCredentials, "get">; readonly templates: ReadonlyMap<string, Template> },
): Registration {
  const services = registration.grants.map((name) => credentials.get(name)?.service ?? "");
  const known = services.map((service) => templates.get(service));
  return { ...registration, policy: guardedPolicy(registration.policy, known) };
}

/** A policy with the endpoints of granted services closed, and nothing opened. */
function guardedPolicy(written: NetworkPolicyInput, templates: readonly (Template | undefined)[]): NetworkPolicyInput {
  const guards = [
    ...(written.guards ?? []),
    ...templates.flatMap((template) => guardsOf(template?.denied ?? [], HANDS_OUT)),
    ...templates.flatMap((template) => guardsOf(hiddenEndpoints(template?.batch ?? [], written), HIDES)),
  ];
  return guards.length === 0 ? written : { ...written, guards };
}

const HANDS_OUT = "It hands out credentials of a granted service.";
const HIDES =
  "It takes many operations in one body, so that the policy's rules about methods and paths of this host do not see them. A rule that allows this very path opens it.";

type Endpoint = Template["denied"][number];

function guardsOf(endpoints: readonly Endpoint[], reason: string): readonly PolicyRule[] {
  return endpoints.map(({ hosts, methods, paths }) => ({
    action: "deny",
    hosts,
    paths,
    ...(methods === undefined ? {} : { methods }),
    reason,
  }));
}

/** Endpoints behind which the person's rules about methods and paths would not hold, save those allowed by their path. */
function hiddenEndpoints(endpoints: readonly Endpoint[], policy: NetworkPolicyInput): readonly Endpoint[] {
  const rules = [...(policy.rules ?? []), ...(policy.hostRules ?? []).flatMap(asRules)];
  return endpoints.flatMap(({ hosts, paths, ...rest }) => {
    const about = rules.filter((rule) => hosts.some((host) => isAbout(rule, host)));
    if (!about.some(({ methods, paths: named }) => methods !== undefined || named !== undefined)) return [];
    const opened = new Set(about.flatMap(({ action, paths: named = [] }) => (action === "allow" ? named : [])));
    const hidden = paths.filter((path) => !opened.has(path) && !opened.has(path.replace(/\/\*\*$/, "")));
    return hidden.length === 0 ? [] : [{ ...rest, hosts, paths: hidden }];
  });
}

function isAbout({ hosts }: PolicyRule, host: string): boolean {
  return hosts.some((pattern) => matchHostPattern({ ...parseHostPattern(pattern), port: undefined }, host, 443));
}

function asRules({ host, rules }: HostRules): readonly PolicyRule[] {
  return rules.map(({ action, method, pathPattern }) => ({
    action,
    hosts: [host],
    ...(method === "*" ? {} : { methods: [method] }),
    ...(pathPattern === "**" ? {} : { paths: [pathPattern] }),
  }));
}
