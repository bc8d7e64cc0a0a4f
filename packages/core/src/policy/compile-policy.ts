import { isIpAddress } from "../destination/host.ts";
import { Problem } from "../problem.ts";
import { type HostPattern, matchHostPattern, parseHostPattern } from "./host-pattern.ts";
import { parsePolicy } from "./parse-policy.ts";
import { matchPath, normalisePath, type PathPattern, parsePathPattern } from "./path.ts";
import type { NetworkPolicyInput, PolicyAction } from "./policy-input.ts";

/** What a decision is about. `host` is normalised; `path` is origin-form as sent, query included. */
export interface PolicyRequest {
  readonly host: string;
  readonly port: number;
  readonly method: string;
  readonly path: string;
}

export interface PolicyDecision {
  readonly action: PolicyAction;
  /** Which rule decided: `host_rules[0].rules[1]`, `allow[0]`, `rules[2]` or `default`. */
  readonly rule: string;
  readonly reason: string | undefined;
}

/** A policy ready to decide. Immutable; deciding allocates next to nothing. */
export interface CompiledPolicy {
  readonly input: NetworkPolicyInput;
  decide(request: PolicyRequest): PolicyDecision;
  /** Denies only when no request to the host and port could be allowed. */
  decideConnect(host: string, port: number): PolicyDecision;
  /** Ranges beside public addresses that allow rules state for exactly this host and port. */
  addressRanges(host: string, port: number): readonly string[];
  /** Whether an allow rule states a loopback host. */
  statesLoopback(): boolean;
}

interface Row {
  readonly action: PolicyAction;
  readonly hosts: readonly HostPattern[];
  /** Undefined = every port. A host pattern's own port is compared beside it. */
  readonly ports: readonly number[] | undefined;
  readonly methods: readonly string[] | undefined;
  readonly paths: readonly PathPattern[] | undefined;
  readonly cidr: readonly string[];
  readonly reason: string | undefined;
  readonly name: string;
}

const WEB_PORTS: readonly number[] = [80, 443];

/** Reads a policy strictly and prepares it for deciding. Fails with `policy.invalid`, saying where. */
export function compilePolicy(written: unknown): CompiledPolicy {
  const input = parsePolicy(written);
  const rows = compileRows(input);
  const index = new RowIndex(rows);
  const fallback: PolicyDecision = {
    action: input.mode === "permissive" ? "allow" : "deny",
    rule: "default",
    reason: input.mode === "permissive" ? undefined : "No rule allows this host.",
  };
  return {
    input,
    decide: (request) => decideRequest(index, fallback, request),
    decideConnect: (host, port) => {
      let firstDeny: PolicyDecision | undefined;
      for (const row of index.rowsOf(host)) {
        if (!matchesPlace(row, host, port)) continue;
        if (row.action === "allow") return asDecision(row);
        firstDeny ??= asDecision(row);
        if (row.methods === undefined && row.paths === undefined) return firstDeny;
      }
      return fallback.action === "allow" ? fallback : (firstDeny ?? fallback);
    },
    addressRanges: (host, port) => [
      ...new Set(
        index
          .rowsOf(host)
          .filter((row) => row.action === "allow" && statesPlace(row, host, port))
          .flatMap((row) => [...row.cidr, ...ownRange(host)]),
      ),
    ],
    statesLoopback: () => rows.some((row) => row.action === "allow" && row.hosts.some(isLoopbackHost)),
  };
}

function decideRequest(index: RowIndex, fallback: PolicyDecision, request: PolicyRequest): PolicyDecision {
  const { host, port } = request;
  const method = request.method.toUpperCase();
  let path: string | undefined;
  for (const row of index.rowsOf(host)) {
    if (!matchesPlace(row, host, port)) continue;
    if (row.methods !== undefined && !row.methods.includes(method)) continue;
    if (row.paths !== undefined) {
      const normalised = path === undefined ? normalisePath(request.path) : undefined;
      if (normalised?.ambiguity !== undefined) {
        return { action: "deny", rule: row.name, reason: `The path can be read in two ways: ${normalised.ambiguity}.` };
      }
      path ??= normalised?.path ?? "/";
      const matched = path;
      if (!row.paths.some((pattern) => matchPath(pattern, matched))) continue;
    }
    return asDecision(row);
  }
  return fallback;
}

function asDecision({ action, name, reason }: Row): PolicyDecision {
  return { action, rule: name, reason };
}

function matchesPlace({ hosts, ports }: Row, host: string, port: number): boolean {
  return hosts.some(
    (pattern) =>
      matchHostPattern(pattern, host, port) &&
      (pattern.port !== undefined || ports === undefined || ports.includes(port)),
  );
}

/** An address outside the public ranges needs the host by name and the port stated. */
function statesPlace({ hosts, ports }: Row, host: string, port: number): boolean {
  return hosts.some(
    (pattern) =>
      pattern.kind !== "any" &&
      matchHostPattern(pattern, host, port) &&
      (pattern.port === port || (ports?.includes(port) ?? false)),
  );
}

/** An IP literal is its own range; `localhost` states loopback. */
function ownRange(host: string): readonly string[] {
  if (host === "localhost") return ["127.0.0.0/8", "::1/128"];
  return isIpAddress(host) === 0 ? [] : [host];
}

function isLoopbackHost({ kind, host }: HostPattern): boolean {
  return kind === "exact" && (host === "localhost" || host.startsWith("127.") || host === "::1");
}

function compileRows(input: NetworkPolicyInput): Row[] {
  const everywhere = { ports: undefined, methods: undefined, paths: undefined, cidr: [], reason: undefined };
  const hostRules = (input.hostRules ?? []).flatMap((entry, at): Row[] => {
    const hosts = [parseHostPattern(entry.host)];
    const place = { ...everywhere, hosts, ports: WEB_PORTS };
    const rows = entry.rules.map((rule, number) => ({
      ...place,
      action: rule.action,
      methods: rule.method === "*" || rule.method === "" ? undefined : [rule.method.toUpperCase()],
      paths: rule.pathPattern === "" ? undefined : [requirePathPattern(rule.pathPattern)],
      name: `host_rules[${at}].rules[${number}]`,
    }));
    return rows.length > 0 ? rows : [{ ...place, action: "allow", name: `host_rules[${at}]` }];
  });
  const allow = (input.allow ?? []).map((host, at): Row => {
    const hosts = [parseHostPattern(host)];
    return { ...everywhere, action: "allow", hosts, ports: WEB_PORTS, name: `allow[${at}]` };
  });
  const rules = (input.rules ?? []).map(
    (rule, at): Row => ({
      action: rule.action,
      hosts: rule.hosts.map(parseHostPattern),
      ports: rule.ports ?? WEB_PORTS,
      methods: rule.methods?.map((method) => method.toUpperCase()),
      paths: rule.paths?.map(requirePathPattern),
      cidr: rule.cidr ?? [],
      reason: rule.reason,
      name: `rules[${at}]`,
    }),
  );
  return [...hostRules, ...allow, ...rules];
}

function requirePathPattern(text: string): PathPattern {
  const pattern = parsePathPattern(text);
  if (pattern === undefined) {
    throw new Problem("policy.invalid", { detail: `Not a path pattern: ${JSON.stringify(text.slice(0, 80))}.` });
  }
  return pattern;
}

/** Rows by exact host, so that a thousand rules about other hosts cost a request nothing. */
class RowIndex {
  readonly #general: readonly Row[];
  readonly #byHost = new Map<string, readonly Row[]>();

  constructor(rows: readonly Row[]) {
    const isGeneral = ({ hosts }: Row) => hosts.some(({ kind }) => kind !== "exact");
    this.#general = rows.filter(isGeneral);
    const named = new Set(
      rows.flatMap(({ hosts }) => hosts.filter(({ kind }) => kind === "exact").map(({ host }) => host)),
    );
    for (const host of named) {
      this.#byHost.set(
        host,
        rows.filter((row) => isGeneral(row) || row.hosts.some((pattern) => pattern.host === host)),
      );
    }
  }

  rowsOf(host: string): readonly Row[] {
    return this.#byHost.get(host) ?? this.#general;
  }
}
