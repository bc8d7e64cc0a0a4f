/** `ask` holds a request for a person; it is refused by the parser until approvals exist. */
export type PolicyAction = "allow" | "deny";

/** One ordered egress rule. Everything that is stated must match; what is absent matches everything, save ports. */
export interface PolicyRule {
  readonly action: PolicyAction;
  /** `host`, `host:port`, `*.suffix` (any depth, not the apex), an IP literal, or `*`. */
  readonly hosts: readonly string[];
  /** Absent = 80 and 443, unless the host states its port. */
  readonly ports?: readonly number[];
  /** Compared without case; absent = every method. */
  readonly methods?: readonly string[];
  /** `*` one segment, `**` any number; absent = every path. */
  readonly paths?: readonly string[];
  /** Address ranges that the host may resolve to beside public ones (`127.0.0.0/8`); allow rules alone. */
  readonly cidr?: readonly string[];
  /** Shown to the agent when the rule refuses. */
  readonly reason?: string;
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
  readonly hostRules?: readonly HostRules[];
  /** `network_allow`: hosts allowed with every method and path. Tried after `hostRules`, before `rules`. */
  readonly allow?: readonly string[];
  readonly rules?: readonly PolicyRule[];
}
