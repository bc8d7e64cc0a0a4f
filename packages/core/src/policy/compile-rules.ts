import { Problem } from "../problem.ts";
import { type HostPattern, parseHostPattern } from "./host-pattern.ts";
import { foldPattern, matchesEveryPath, type PathPattern, parsePathPattern } from "./path-pattern.ts";
import type { HostRules, NetworkPolicyInput, PolicyAction, PolicyRule } from "./policy-input.ts";

/** The outcome of matching a request or a connection. */
export interface PolicyDecision {
  readonly action: PolicyAction;
  /** Which rule decided: `guards[0]`, `host_rules[0].rules[1]`, `rules[2]`, `allow[0]`, `granted[0]` or `default`. */
  readonly rule: string;
  /** For the agent that is refused; `undefined` where the rule's author gave none. */
  readonly reason: string | undefined;
  /** The rule says that the sandbox's own authentication may go along. */
  readonly keepsClientAuth?: boolean;
}

/** A rule ready to match. */
export interface CompiledRule {
  readonly hosts: readonly HostPattern[];
  /** Compared where a host pattern has no port of its own; absent = every port. */
  readonly ports: readonly number[] | undefined;
  /** Whether `ports` were written, not assumed. */
  readonly hasOwnPorts: boolean;
  /** Upper case; absent = every method. */
  readonly methods: ReadonlySet<string> | undefined;
  /** Absent = every path, ambiguous ones included. Of a rule that denies, for folded readings. */
  readonly paths: readonly PathPattern[] | undefined;
  readonly cidr: readonly string[];
  readonly decision: PolicyDecision;
  /** Which `hostRules` entry it stands in: once one entry's host matched, the other entries are passed over. */
  readonly entry: number | undefined;
  /**
   * A guard looks at both readings of an encoded slash where other rules refuse it: scoped packages must pass. It also
   * looks past the form of the answer at the end of a path.
   */
  readonly isGuard: boolean;
}

/** The ports that a rule opens when it names none. A refusal without one holds on every port. */
export const WEB_PORTS: readonly number[] = [80, 443];

/** All rules of a parsed policy in the order in which they are tried. */
export function compileRules(input: NetworkPolicyInput): readonly CompiledRule[] {
  const { guards, hostRules, rules, allow, granted } = input;
  return [
    ...(guards ?? []).map((rule, at) => ({ ...compileRule(rule, `guards[${at}]`), isGuard: true })),
    ...(hostRules ?? []).flatMap(compileHostRules),
    ...(rules ?? []).map((rule, at) => compileRule(rule, `rules[${at}]`)),
    ...(allow ?? []).map((host, at) => compileRule({ action: "allow", hosts: [host] }, `allow[${at}]`)),
    ...(granted ?? []).map((host, at) => compileRule({ action: "allow", hosts: [host] }, `granted[${at}]`)),
  ];
}

function compileRule(rule: PolicyRule, name: string): CompiledRule {
  const written = rule.paths?.map(requirePathPattern);
  const paths = rule.action === "deny" ? written?.map(foldPattern) : written;
  return {
    hosts: rule.hosts.map(parseHostPattern),
    ports: rule.ports ?? (rule.action === "deny" ? undefined : WEB_PORTS),
    hasOwnPorts: rule.ports !== undefined,
    methods: rule.methods === undefined || rule.methods.includes("*") ? undefined : new Set(rule.methods),
    paths: paths?.some(matchesEveryPath) ? undefined : paths,
    cidr: rule.cidr ?? [],
    decision: {
      action: rule.action,
      rule: name,
      reason: rule.reason,
      ...(rule.client_auth === undefined ? {} : { keepsClientAuth: true }),
    },
    entry: undefined,
    isGuard: false,
  };
}

function compileHostRules({ host, rules }: HostRules, entry: number): readonly CompiledRule[] {
  const name = `host_rules[${entry}]`;
  if (rules.length === 0) return [{ ...compileRule({ action: "allow", hosts: [host] }, name), entry }];
  return rules.map(({ action, method, pathPattern }, at) => ({
    ...compileRule({ action, hosts: [host], methods: [method], paths: [pathPattern] }, `${name}.rules[${at}]`),
    // An entry is chosen by its host and port, whichever of its rules comes first.
    ports: WEB_PORTS,
    entry,
  }));
}

/** The parser saw to it; a pattern that went missing here would turn a refusal into nothing. */
function requirePathPattern(text: string): PathPattern {
  const pattern = parsePathPattern(text);
  if (pattern === undefined) throw new Problem("policy.invalid", { detail: "A path pattern starts with /." });
  return pattern;
}
