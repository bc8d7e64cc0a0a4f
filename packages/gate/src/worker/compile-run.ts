import {
  type CompiledPolicy,
  compareSpecificity,
  compilePolicy,
  type HostPattern,
  matchHostPattern,
  matchPath,
  type PathPattern,
  Problem,
  parseHostPattern,
  parsePathPattern,
} from "@gatehouse/core";
import type { Injection, RunSnapshot } from "../snapshot/run-snapshot.ts";

/** An injection whose patterns are parsed once. */
interface CompiledInjection {
  readonly injection: Injection;
  readonly host: HostPattern;
  readonly paths: readonly PathPattern[] | undefined;
}

/** What one run does on one host and port; computed at the first request there and kept. */
export interface HostPlan {
  /** Most specific first. */
  readonly injections: readonly CompiledInjection[];
  readonly extraHeaders: readonly { readonly name: string; readonly value: string }[];
  readonly removedHeaders: ReadonlySet<string>;
  readonly keepsClientAuth: boolean;
}

/** What applies before the destination is known. */
export const NO_PLAN: HostPlan = {
  injections: [],
  extraHeaders: [],
  removedHeaders: new Set(),
  keepsClientAuth: false,
};

const MAX_PLANS = 1_024;

/** A snapshot ready to serve requests. Replaced whole, never changed. */
export class CompiledRun {
  readonly snapshot: RunSnapshot;
  readonly policy: CompiledPolicy;
  readonly #injections: readonly CompiledInjection[];
  readonly #plans = new Map<string, HostPlan>();

  constructor(snapshot: RunSnapshot) {
    this.snapshot = snapshot;
    this.policy = compilePolicy(snapshot.policy);
    this.#injections = snapshot.injections
      .map((injection) => ({
        injection,
        host: parseHostPattern(injection.host),
        paths: injection.paths?.map(requirePathPattern),
      }))
      .sort((a, b) => compareSpecificity(a.host, b.host));
  }

  planFor(host: string, port: number): HostPlan {
    const key = `${host}:${port}`;
    const known = this.#plans.get(key);
    if (known !== undefined) return known;
    const plan = this.#plan(host, port);
    if (this.#plans.size >= MAX_PLANS) this.#plans.clear();
    this.#plans.set(key, plan);
    return plan;
  }

  #plan(host: string, port: number): HostPlan {
    const applies = (pattern: string) => matchHostPattern(parseHostPattern(pattern), host, port);
    const { extraHeaders, removeHeaders, clientAuthHosts } = this.snapshot;
    return {
      injections: this.#injections.filter((one) => matchHostPattern(one.host, host, port)),
      extraHeaders: extraHeaders.filter((header) => applies(header.host)),
      removedHeaders: new Set(removeHeaders.filter((header) => applies(header.host)).map(({ name }) => name)),
      keepsClientAuth: clientAuthHosts.some(applies),
    };
  }
}

/** The injections that a request gets: for each header the most specific one whose method and path match. */
export function selectInjections(
  plan: HostPlan,
  request: { readonly method: string; readonly path: string; readonly isCleartext: boolean },
): readonly Injection[] {
  if (plan.injections.length === 0) return [];
  const byHeader = new Map<string, Injection>();
  for (const { injection, paths } of plan.injections) {
    const matches =
      (!request.isCleartext || injection.allowCleartext) &&
      (injection.methods?.includes(request.method.toUpperCase()) ?? true) &&
      (paths?.some((pattern) => matchPath(pattern, request.path)) ?? true);
    if (matches && !byHeader.has(injection.header)) byHeader.set(injection.header, injection);
  }
  return [...byHeader.values()];
}

function requirePathPattern(text: string): PathPattern {
  const pattern = parsePathPattern(text);
  if (pattern === undefined) throw new Problem("grants.invalid", { detail: "A path pattern starts with /." });
  return pattern;
}
