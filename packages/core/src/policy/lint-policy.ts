import { type CompiledRule, compileRules, WEB_PORTS } from "./compile-rules.ts";
import { atomsOf, coversAtom, coversPlace, type RuleAtom } from "./coverage.ts";
import { findPolicyFaults, parsePolicy } from "./parse-policy.ts";

export type LintLevel = "error" | "warning" | "note";

/** Something about a policy that a person should look at. */
export interface LintFinding {
  readonly level: LintLevel;
  /** Stable, for scripts: `invalid`, `contradiction`, `unreachable`, `shared-suffix`, … */
  readonly code: string;
  /** Where it stands in the written policy, keys and indices. */
  readonly path: readonly (string | number)[];
  readonly message: string;
}

export interface LintDeps {
  /** Whether strangers can have names below this suffix. */
  readonly isSharedSuffix: (suffix: string) => boolean;
}

/** Looks a written policy through. What cannot be parsed is all that is said of a policy that is not valid. */
export function lintPolicy(written: unknown, deps: LintDeps): readonly LintFinding[] {
  const faults = findPolicyFaults(written);
  if (faults.length > 0) {
    return faults.map(({ path, message }) => ({ level: "error", code: "invalid", path, message }));
  }
  const rules = compileRules(parsePolicy(written));
  return [...findUnreachable(rules), ...rules.flatMap((rule) => lintRule(rule, deps))];
}

interface Known {
  readonly rule: CompiledRule;
  readonly atom: RuleAtom;
}

function findUnreachable(rules: readonly CompiledRule[]): readonly LintFinding[] {
  const earlier: Known[] = [];
  return rules.flatMap((rule) => {
    // A refusal on every port behind an allow rule for the web's is late on those that count.
    const atoms = atomsOf(rule, WEB_PORTS);
    const taken = atoms.map((atom) => earlier.find((known) => decidesBefore(known, { rule, atom }))?.rule);
    earlier.push(...atomsOf(rule).map((atom) => ({ rule, atom })));
    return taken.every((one) => one !== undefined)
      ? [wholeRule(rule, [...new Set(taken)])]
      : partsOf(rule, atoms, taken);
  });
}

/** Of `hostRules`, the first entry whose host matches decides alone, whatever stands in it. */
function decidesBefore(a: Known, b: Known): boolean {
  const isOtherEntry = a.rule.entry !== undefined && b.rule.entry !== undefined && a.rule.entry !== b.rule.entry;
  return isOtherEntry ? coversPlace(a.atom, b.atom) : coversAtom(a.atom, b.atom);
}

function wholeRule(rule: CompiledRule, by: readonly CompiledRule[]): LintFinding {
  const { action, rule: name } = rule.decision;
  const names = by.map(({ decision }) => decision.rule).join(", ");
  const path = pathOf(name);
  const opposed = by.filter(({ decision }) => decision.action !== action);
  if (opposed.length > 0) {
    const message = `This ${action} never decides: ${names} ${action === "allow" ? "denies" : "allows"} it before.`;
    return { level: "error", code: "contradiction", path, message };
  }
  if (rule.cidr.length > 0) {
    const message = `Only its address ranges count: ${names} decides every request before.`;
    return { level: "note", code: "only-ranges", path, message };
  }
  return { level: "warning", code: "unreachable", path, message: `It never decides: ${names} does so before.` };
}

const PARTS = { host: "hosts", method: "methods", path: "paths" } as const;

/** Hosts, methods and paths of a rule that decides otherwise, each of which decides nothing. */
function partsOf(
  rule: CompiledRule,
  atoms: readonly RuleAtom[],
  taken: readonly (CompiledRule | undefined)[],
): readonly LintFinding[] {
  return (["host", "method", "path"] as const).flatMap((part) => {
    const indices = [...new Set(atoms.map(({ at }) => at[part]))];
    if (indices.length < 2) return [];
    return indices.flatMap((index): LintFinding[] => {
      const by = taken.filter((_, at) => atoms[at]?.at[part] === index);
      if (by.some((one) => one === undefined)) return [];
      const names = [...new Set(by.map((one) => one?.decision.rule))].join(", ");
      const path = [...pathOf(rule.decision.rule), PARTS[part], index];
      const message = `This ${part} is never reached: ${names} decides every request with it before.`;
      return [{ level: "warning", code: "unreachable-part", path, message }];
    });
  });
}

/** What is said of a rule by itself; `undefined` where it does not apply. */
const RULE_LINTS: readonly ((rule: CompiledRule, deps: LintDeps) => Omit<LintFinding, "path"> | undefined)[] = [
  ({ hosts, decision }, { isSharedSuffix }) => {
    const shared = hosts.find(({ kind, host }) => kind === "suffix" && isSharedSuffix(host.slice(1)));
    if (decision.action === "deny" || shared === undefined) return undefined;
    const message = `*${shared.host} is a suffix that strangers share: anybody can have a name below it.`;
    return { level: "warning", code: "shared-suffix", message };
  },
  ({ hosts, decision }) => {
    if (decision.action === "deny" || !hosts.some(({ kind }) => kind === "any")) return undefined;
    return { level: "note", code: "every-host", message: "It allows every host." };
  },
  ({ hosts, ports, hasOwnPorts, decision }) => {
    const isStated = (hasOwnPorts && ports?.includes(80)) || hosts.some(({ port }) => port === 80);
    if (decision.action === "deny" || !isStated) return undefined;
    const message = "Port 80 is cleartext: no credential is attached, and the way there can read and change it.";
    return { level: "note", code: "cleartext", message };
  },
  ({ methods }) => {
    if (!methods?.has("CONNECT")) return undefined;
    const message = "A tunnel is judged by its host and port: CONNECT matches no request.";
    return { level: "warning", code: "connect-method", message };
  },
  ({ decision, entry }) => {
    // An entry of `hostRules` has no place for one.
    if (decision.action === "allow" || decision.reason !== undefined || entry !== undefined) return undefined;
    return {
      level: "note",
      code: "no-reason",
      message: "Without a reason, the agent that is refused is not told why.",
    };
  },
];

function lintRule(rule: CompiledRule, deps: LintDeps): readonly LintFinding[] {
  const path = pathOf(rule.decision.rule);
  return RULE_LINTS.flatMap((lint) => lint(rule, deps) ?? []).map((finding) => ({ ...finding, path }));
}

/** `host_rules[0].rules[1]`, as decisions name a rule, as a path in what was written. */
export function pathOf(rule: string): readonly (string | number)[] {
  return rule
    .split(/[.[\]]+/)
    .filter((part) => part !== "")
    .map((part) => (/^\d+$/.test(part) ? Number(part) : part === "host_rules" ? "hostRules" : part));
}
