/** `ask` holds a request for a person; it is refused by the parser until approvals exist. */
export type PolicyAction = "allow" | "deny";

/** One ordered egress rule. Everything that is stated must match; what is absent matches everything, save ports. */
export interface PolicyRule {
  readonly action: PolicyAction;
  /** `host`, `host:port`, `*.suffix` (any depth, not the apex), an IP literal, or `*`. */
  readonly hosts: readonly string[];
  /**
   * Absent, where the host does not state its port: an allow rule opens 80 and 443, a deny rule closes every port. Hosts
   * with a port of their own may not stand beside it.
   */
  readonly ports?: readonly number[];
  /** Compared without case; `*` or absent = every method. */
  readonly methods?: readonly string[];
  /** Compared with case: `*` one segment, `**` any number; `**` alone or absent = every path. */
  readonly paths?: readonly string[];
  /** Address ranges that the hosts may resolve to beside public ones. Allow rules that state hosts and ports alone. */
  readonly cidr?: readonly string[];
  /** Shown to the agent when the rule refuses. */
  readonly reason?: string;
  /** What the sandbox authenticates itself with stays in requests that this rule allows. Absent = it is removed. */
  readonly client_auth?: "allow";
}

/** `network_rules` of the local API: the first entry whose host matches, in it the first rule that matches. */
export interface HostRules {
  readonly host: string;
  readonly rules: readonly { readonly action: PolicyAction; readonly method: string; readonly pathPattern: string }[];
}

/** A policy as it is written, stored and sent. `compilePolicy` is the only thing that reads it. */
export interface NetworkPolicyInput {
  readonly name?: string;
  /** What happens when nothing matches: `strict` denies, `permissive` allows. */
  readonly mode: "strict" | "permissive";
  /** Refusals that stand before everything else: a granted service's endpoints that hand out credentials. */
  readonly guards?: readonly PolicyRule[];
  readonly hostRules?: readonly HostRules[];
  /** The rules of a policy file, from top to bottom; behind `hostRules`. */
  readonly rules?: readonly PolicyRule[];
  /** `network_allow`, `--allow`: hosts allowed with every method and path, where no rule said otherwise. */
  readonly allow?: readonly string[];
  /** Hosts that grants open: behind everything that a person states, so that a refusal holds against a grant. */
  readonly granted?: readonly string[];
}
