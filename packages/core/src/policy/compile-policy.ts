import { isIpAddress } from "../destination/host.ts";
import { type CompiledRule, compileRules, type PolicyDecision } from "./compile-rules.ts";
import { parsePolicy } from "./parse-policy.ts";
import { dropFormat, foldReading, normalisePath, type PathAmbiguity, type PathReading, readPath } from "./path.ts";
import { matchReading } from "./path-pattern.ts";
import type { NetworkPolicyInput } from "./policy-input.ts";
import { RuleIndex, type RuleWalk } from "./rule-index.ts";

/** What a decision is about. `host` is normalised; `path` is origin-form, query included or not. */
export interface PolicyRequest {
  readonly host: string;
  readonly port: number;
  readonly method: string;
  readonly path: string;
}

/** A policy ready to decide. Immutable; deciding allocates next to nothing. */
export interface CompiledPolicy {
  readonly input: NetworkPolicyInput;
  /** First match wins: guards, `hostRules`, `rules`, `allow`, `granted`, then the mode. */
  decide(request: PolicyRequest): PolicyDecision;
  /** Denies only when no request to the host and port could be allowed. */
  decideConnect(host: string, port: number): PolicyDecision;
  /** Ranges beside public addresses that allow rules state for exactly this host and port; for `mayDial`. */
  addressRanges(host: string, port: number): readonly string[];
  /** Whether an allow rule states a loopback host and its port. */
  statesLoopback(): boolean;
}

/** Reads a policy strictly and prepares it for deciding. Fails with `policy.invalid`, saying where. */
export function compilePolicy(written: unknown): CompiledPolicy {
  const input = parsePolicy(written);
  const rules = compileRules(input);
  const index = new RuleIndex(rules);
  const fallback: PolicyDecision =
    input.mode === "permissive"
      ? { action: "allow", rule: "default", reason: undefined }
      : { action: "deny", rule: "default", reason: "No rule allows this request." };
  return {
    input,
    decide: (request) => decideRequest(index, request) ?? fallback,
    decideConnect: (host, port) => decideTunnel(index.about(host, port), fallback),
    addressRanges: (host, port) => statedRanges(index.about(host, port), host),
    statesLoopback: () => rules.some(statesLoopback),
  };
}

function decideRequest(index: RuleIndex, request: PolicyRequest): PolicyDecision | undefined {
  const method = request.method.toUpperCase();
  const target = new Target(request.path);
  const walk = index.about(request.host, request.port, target.firstSegment);
  for (let found = walk.next(); found !== undefined; found = walk.next()) {
    const { rule } = found;
    if (rule.methods !== undefined && !rule.methods.has(method)) continue;
    if (rule.paths === undefined) return rule.decision;
    const decision = decideByPath(rule, target);
    if (decision !== undefined) return decision;
  }
  return undefined;
}

/** A path as rules compare it. */
class Target {
  readonly ambiguity: PathAmbiguity | undefined;
  readonly readings: readonly PathReading[];
  /**
   * Absent where every rule must be looked at: two readings, or parameters or a form of the answer that may count or
   * not.
   */
  readonly firstSegment: string | undefined;
  #folded: readonly PathReading[] | undefined;
  #guarded: readonly PathReading[] | undefined;

  constructor(path: string) {
    const normalised = normalisePath(path);
    const { ambiguity } = normalised;
    this.ambiguity = ambiguity;
    this.readings = ambiguity === undefined || ambiguity === "encoded slash" ? readPath(normalised) : [];
    const [first = "", second] = this.readings[0] ?? [];
    const isPlain = !first.includes(";") && (second !== undefined || !first.includes("."));
    this.firstSegment = ambiguity === undefined && isPlain ? first : undefined;
  }

  /**
   * The readings that a rule compares: a refusal must hold for services that ignore case, whereas what is allowed is
   * allowed as it is written.
   */
  readingsFor({ decision, isGuard }: CompiledRule): readonly PathReading[] {
    if (decision.action === "allow") return this.readings;
    this.#folded ??= this.readings.map(foldReading);
    if (!isGuard) return this.#folded;
    this.#guarded ??= [...this.#folded, ...this.#folded.flatMap(dropFormat)];
    return this.#guarded;
  }
}

/**
 * Where a path rule holds, a path with two readings is refused, whatever the rule says. A guard, which only denies,
 * looks at both readings of an encoded slash instead: one that matches is enough.
 */
function decideByPath(rule: CompiledRule, target: Target): PolicyDecision | undefined {
  const { paths = [], isGuard, decision } = rule;
  const { ambiguity } = target;
  if (ambiguity !== undefined && !(isGuard && ambiguity === "encoded slash")) {
    return { action: "deny", rule: decision.rule, reason: `The path can be read in two ways: ${ambiguity}.` };
  }
  for (const reading of target.readingsFor(rule)) {
    for (const pattern of paths) if (matchReading(pattern, reading)) return decision;
  }
  return undefined;
}

function decideTunnel(walk: RuleWalk, fallback: PolicyDecision): PolicyDecision {
  for (let found = walk.next(); found !== undefined; found = walk.next()) {
    const { decision, methods, paths } = found.rule;
    if (decision.action === "allow" || (methods === undefined && paths === undefined)) return decision;
  }
  return fallback;
}

function statedRanges(walk: RuleWalk, host: string): readonly string[] {
  const ranges = new Set<string>();
  for (let found = walk.next(); found !== undefined; found = walk.next()) {
    const { rule, pattern } = found;
    const isStated = pattern.kind !== "any" && (pattern.port !== undefined || rule.hasOwnPorts);
    if (rule.decision.action !== "allow" || !isStated) continue;
    for (const range of [...rule.cidr, ...ownRanges(host)]) ranges.add(range);
  }
  return [...ranges];
}

/** An IP literal is its own range; `localhost` states loopback. */
function ownRanges(host: string): readonly string[] {
  if (host === "localhost") return ["127.0.0.0/8", "::1/128"];
  return isIpAddress(host) === 0 ? [] : [host];
}

function statesLoopback({ hosts, hasOwnPorts, decision }: CompiledRule): boolean {
  const isStated = ({ kind, host, port }: CompiledRule["hosts"][number]) =>
    kind === "exact" &&
    (hasOwnPorts || port !== undefined) &&
    (host === "localhost" || host === "::1" || (isIpAddress(host) === 4 && host.startsWith("127.")));
  return decision.action === "allow" && hosts.some(isStated);
}
